// Finds the kernels of a program, and compiles its elementwise groups.
#include "cuda/sweep/prepared.h"

#include <atomic>
#include <string>
#include <utility>

#include "cuda/code/library.h"
#include "program/access.h"
#include "program/kernels.h"
#include "runtime/executable.h"
#include "runtime/places.h"

namespace cavs::cuda {
namespace {

uint64_t next_number() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

// Whether a table of this kind has a list, and a part for each of its entries.
GroupOperand operand_of(const TableSpec& table, int ld) {
  GroupOperand operand;
  operand.ld = ld;
  operand.list = is_list(table.kind) && table.kind != TableKind::kChildren;
  operand.part = table.kind == TableKind::kParentRows && table.argument != 0;
  return operand;
}

// Whether another program can stage the list: a backward program may have more sets of members.
bool is_known(const ListId& id, const Program& program) {
  const bool of_members = id.list == List::kVertexPlaces || id.list == List::kEdgePlaces ||
                          id.list == List::kVerticesPtr || id.list == List::kVerticesOfGraph;
  return !of_members || static_cast<size_t>(id.argument) < program.member_sets.size();
}

}  // namespace

CudaProgram::CudaProgram(OpenGpu& open, const Executable& exe)
    : number(next_number()), open_(open), exe_(exe), own_lists_(lists_read(exe.program)) {
  for (size_t s = 0; s < exe.program.segments.size(); ++s) {
    first_calls_.push_back(calls.size());
    const auto& instructions = exe.program.segments[s].instructions;
    for (size_t i = 0; i < instructions.size(); ++i) {
      PreparedCall& call = calls.emplace_back();
      call.instruction = &instructions[i];
      if (group_of(instructions[i]) == nullptr) {
        call.kernel = find_device_kernel(instructions[i].kernel->name);
      }
      call.state_writes = &exe.state_writes[s][i];
      call.edges = instructions[i].space.kind == SpaceKind::kEdge;
      random = random || std::holds_alternative<UniformAttributes>(instructions[i].attributes) ||
               std::holds_alternative<DropoutAttributes>(instructions[i].attributes) ||
               (is_attention(instructions[i]) && sizes_of_attention(instructions[i]).zeroed > 0);
    }
  }
  first_calls_.push_back(calls.size());
  if (!exe.forward) return;
  std::set<ListId> known;
  for (const ListId& id : own_lists_) {
    if (is_known(id, exe.forward->program)) known.insert(id);
  }
  cuda_program(*exe.forward).expect(known);
}

std::set<ListId> CudaProgram::lists(bool keep) const {
  std::set<ListId> lists = own_lists_;
  if (!keep) return lists;
  const std::lock_guard<std::mutex> guard(mutex_);
  lists.insert(expected_lists_.begin(), expected_lists_.end());
  return lists;
}

void CudaProgram::expect(const std::set<ListId>& lists) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  expected_lists_.insert(lists.begin(), lists.end());
}

std::vector<std::optional<GroupKernel>> CudaProgram::print(const Layout& layout) const {
  std::vector<std::optional<GroupKernel>> printed;
  for (size_t call = 0; call < calls.size(); ++call) {
    printed.emplace_back();
    const Instruction& instruction = *calls[call].instruction;
    const Group* group = group_of(instruction);
    if (group == nullptr) continue;
    const auto ld = [&](int id) { return static_cast<int>(ld_of(exe_, layout, id)); };
    std::vector<GroupOperand> inputs;
    for (size_t k = 0; k < instruction.inputs.size(); ++k) {
      inputs.push_back(operand_of(instruction.tables[k], ld(instruction.inputs[k])));
    }
    std::vector<int> outputs;
    for (const int id : instruction.outputs) outputs.push_back(ld(id));
    const std::string name = "group_" + std::to_string(call);
    printed.back() = print_group(name, *group, exe_.program.dtype, inputs, outputs);
  }
  return printed;
}

KernelSource CudaProgram::source(const Layout& layout, bool flush_denormals) const {
  std::string text = group_prelude();
  for (const auto& group : print(layout)) {
    if (group) text += group->text;
  }
  return source_of(exe_.program.backward ? "backward.cu" : "forward.cu", std::move(text),
                   exe_.program.dtype, flush_denormals);
}

const LayoutCode& CudaProgram::code(const Layout& layout, bool flush_denormals) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  auto& kept = code_[{&layout, flush_denormals}];
  if (kept) return *kept;
  auto made = std::make_unique<LayoutCode>();
  auto printed = print(layout);
  for (size_t i = 0; i < calls.size(); ++i) {
    BoundCall& bound = made->calls.emplace_back();
    bound.prepared = &calls[i];
    bound.call.program = &exe_.program;
    bound.call.instruction = calls[i].instruction;
    if (!printed[i]) continue;
    if (!made->module) made->module = open_.cache.load(source(layout, flush_denormals), open_.gpu);
    Kernel kernel = made->module->kernel(printed[i]->kernel_name());
    bound.group =
        &made->groups.emplace_back(CompiledGroup{std::move(*printed[i]), std::move(kernel)});
  }
  made->levels = std::make_unique<LevelsCode>(*this, layout, flush_denormals, made->calls);
  kept = std::move(made);
  return *kept;
}

const CudaProgram& cuda_program(const Executable& exe) {
  return static_cast<const CudaProgram&>(*exe.prepared);
}

}  // namespace cavs::cuda
