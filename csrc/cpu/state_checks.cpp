// Looks for NaN in the rows of states that a call has written.
#include "cpu/state_checks.h"

#include "cpu/isa_table.h"

namespace cavs {
namespace {

template <class T>
void check_rows(const StateWrite& write, const KernelCall& call, FirstNan* first) {
  const Operand& operand = call.out[write.output];
  const T* data = static_cast<const T*>(operand.data) + write.column;
  const int64_t rows = call.row_end - call.row_begin;
  const auto has_nan = isa_functions<T>().has_nan;
  if (!has_nan(data + call.row_begin * operand.ld, rows, operand.ld, write.size)) return;
  for (int64_t row = call.row_begin; row < call.row_end; ++row) {
    if (!has_nan(data + row * operand.ld, 1, operand.ld, write.size)) continue;
    first->note(row, write.state);
    return;
  }
}

}  // namespace

void check_states(DType dtype, const std::vector<StateWrite>& writes, const KernelCall& call,
                  FirstNan* first) {
  for (const StateWrite& write : writes) {
    if (dtype == DType::kFloat64) {
      check_rows<double>(write, call, first);
    } else {
      check_rows<float>(write, call, first);
    }
  }
}

}  // namespace cavs
