// Gives the values of a group their registers for the interpreter.
#include "cpu/groups/group_program.h"

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "cpu/groups/group_code.h"
#include "cpu/kernel.h"

namespace cavs {
namespace {

// A register is free again after the last reader of its value; outputs keep their registers to the
// end.
class Registers {
 public:
  explicit Registers(const Group& group)
      : group_(group), last_(group.calls.size(), -1), kept_(group.calls.size(), false) {
    for (size_t i = 0; i < group.calls.size(); ++i) {
      for (const int argument : group.calls[i].arguments) {
        if (is_call(argument)) last_[index(argument)] = static_cast<int>(i);
      }
    }
    for (const int output : group.outputs) kept_[index(output)] = true;
    for (size_t i = 0; i < group.calls.size(); ++i) assign(static_cast<int>(i));
  }

  int count() const { return count_; }
  int of(int value) const { return of_[index(value)]; }

 private:
  bool is_call(int value) const { return value >= group_.first_call(); }
  size_t index(int value) const { return static_cast<size_t>(value - group_.first_call()); }

  void assign(int i) {
    std::vector<int> dying;
    for (const int argument : group_.calls[static_cast<size_t>(i)].arguments) {
      if (!is_call(argument) || last_[index(argument)] != i || kept_[index(argument)]) continue;
      dying.push_back(of(argument));
    }
    std::sort(dying.begin(), dying.end(), std::greater<int>());
    dying.erase(std::unique(dying.begin(), dying.end()), dying.end());
    free_.insert(free_.end(), dying.begin(), dying.end());
    if (free_.empty()) {
      of_.push_back(count_++);
    } else {
      of_.push_back(free_.back());
      free_.pop_back();
    }
  }

  const Group& group_;
  std::vector<int> last_;   // [call] its last reader
  std::vector<bool> kept_;  // [call] whether it is an output
  std::vector<int> of_;     // [call]
  std::vector<int> free_;
  int count_ = 0;
};

// A GroupProgram and the arrays that it points to.
struct Prepared {
  Group group;
  std::vector<GroupStep> steps;
  std::vector<int> outputs;
  std::shared_ptr<const GroupCode> code;
  GroupProgram program;
};

}  // namespace

std::shared_ptr<const GroupProgram> prepare_group(const Group& group, bool compile) {
  const auto made = std::make_shared<Prepared>();
  made->group = group;
  const Registers registers(group);
  const int inputs = static_cast<int>(group.inputs.size());
  const auto slot = [&](int value) {
    if (value >= group.first_call()) return inputs + registers.of(value);
    return value < inputs ? value : value + registers.count();
  };
  for (size_t i = 0; i < group.calls.size(); ++i) {
    const ScalarCall& call = group.calls[i];
    const auto& of = call.arguments;
    const int to = registers.of(group.first_call() + static_cast<int>(i));
    made->steps.push_back({call.op, to, slot(of[0]), slot(of[1]), slot(of[2])});
  }
  for (const int output : group.outputs) made->outputs.push_back(registers.of(output));
  if (compile) made->code = compile_group(group);
  GroupProgram& program = made->program;
  program.width = group.width;
  program.num_registers = registers.count();
  program.num_constants = static_cast<int>(group.constants.size());
  program.num_steps = static_cast<int>(made->steps.size());
  program.inputs = made->group.inputs.data();
  program.constants = made->group.constants.data();
  program.steps = made->steps.data();
  program.outputs = made->outputs.data();
  program.code = made->code.get();
  return {made, &program};
}

bool writes_over_inputs(const Group& group, DType dtype) {
  constexpr int64_t kOther = 16 * 1024;
  // Shorter rows stand without padding, and the kernel may write a vector past the end of a row.
  constexpr int64_t kShortestRow = 16;
  const auto slots =
      static_cast<int64_t>(group.inputs.size() + group.outputs.size() + group.constants.size()) +
      Registers(group).count();
  const int64_t row = (group.width + kShortestRow - 1) / kShortestRow * kShortestRow;
  return group.width >= kShortestRow &&
         slots * row * item_size(dtype) + kOther <= kScratchBytes / 2;
}

}  // namespace cavs
