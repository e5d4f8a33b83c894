// Checks that a forward and a backward program make a training step.
#include "runtime/step_plan.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "program/text.h"

namespace cavs {

std::vector<const ValueSpec*> outputs_of(const Executable& exe) {
  std::vector<const ValueSpec*> outputs(static_cast<size_t>(exe.array_counts[2]), nullptr);
  for (size_t id = exe.first_value(); id < exe.program.values.size(); ++id) {
    const ValueSpec& value = exe.program.values[id];
    if (value.role == Role::kOutput) outputs[static_cast<size_t>(value.index)] = &value;
  }
  return outputs;
}

StepPlan::StepPlan(std::shared_ptr<const Executable> forward_program,
                   std::shared_ptr<const Executable> backward_program, int loss_output,
                   std::vector<GradientPart> all_parts, std::vector<int> all_updates)
    : forward(std::move(forward_program)),
      backward(std::move(backward_program)),
      loss(loss_output),
      parts(std::move(all_parts)),
      updates(std::move(all_updates)) {
  const int outputs = backward->array_counts[2];
  CAVS_CHECK(backward->forward == forward, ErrorKind::kValue,
             "[step] expected the backward program of the forward program, got another; pass the "
             "program that belongs to it");
  CAVS_CHECK(loss >= 0 && loss < forward->array_counts[2], ErrorKind::kValue,
             "[step] expected an output of ", forward->array_counts[2], " as the loss, got ", loss,
             "; number one of them");
  CAVS_CHECK(backward->array_counts[1] <= 1, ErrorKind::kValue,
             "[step] expected a backward program from the loss alone, got one of ",
             backward->array_counts[1], " cotangents; give a cotangent for the loss alone");
  const auto whole_first = [](const GradientPart& a, const GradientPart& b) {
    return a.param != b.param ? a.param < b.param : a.ids < 0 && b.ids >= 0;
  };
  std::stable_sort(parts.begin(), parts.end(), whole_first);
  for (const GradientPart& part : parts) {
    CAVS_CHECK(part.output >= 0 && part.output < outputs && part.ids < outputs && part.param >= 0,
               ErrorKind::kValue, "[step] expected parts among ", outputs, " outputs, got output ",
               part.output, " with ids ", part.ids, "; number outputs of the program");
    if (params.empty() || params.back() != part.param) params.push_back(part.param);
  }
  check_outputs();
}

void StepPlan::check_outputs() const {
  const DType dtype = forward->program.dtype;
  const auto expect = [](bool fits, const char* expected) {
    CAVS_CHECK(fits, ErrorKind::kValue, "[step] expected ", expected,
               ", got another; correct the programs");
  };
  for (const auto& exe : {forward, backward}) {
    for (const ValueSpec* spec : outputs_of(*exe)) {
      expect(spec != nullptr, "a value for each number of an output");
    }
  }
  expect(outputs_of(*forward)[static_cast<size_t>(loss)]->dtype == dtype, "a floating-point loss");
  for (const int output : updates) {
    const bool known = output >= 0 && output < forward->array_counts[2];
    expect(known, "an output of forward as an update");
    const ValueSpec& value = *outputs_of(*forward)[static_cast<size_t>(output)];
    expect(value.dtype == dtype && value.space.kind == SpaceKind::kNone,
           "a floating-point update without rows");
  }
  const std::vector<const ValueSpec*> specs = outputs_of(*backward);
  for (const GradientPart& part : parts) {
    const ValueSpec& output = *specs[static_cast<size_t>(part.output)];
    expect(output.dtype == dtype, "a floating-point gradient");
    const bool whole = output.space.kind == SpaceKind::kNone;
    expect(whole == (part.ids < 0), "ids for a gradient by rows, and none for a whole one");
    if (whole) continue;
    const ValueSpec& ids = *specs[static_cast<size_t>(part.ids)];
    expect(ids.dtype == DType::kInt32 && ids.size == 1 && ids.space == output.space,
           "an id for each row of a gradient");
  }
}

}  // namespace cavs
