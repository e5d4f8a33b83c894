// Hands the kernels of groups what they take, and launches them.
#include <algorithm>
#include <cstdint>

#include "cuda/code/group_source.h"

namespace cavs::cuda {
namespace {

constexpr int64_t kMostBlocks = 1 << 14;  // threads go on from there

Address address_of(const void* data) { return reinterpret_cast<Address>(data); }

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// Whether a thread may write an element of `out` that another thread still reads of `in`.
bool collide(const GroupKernel& kernel, const GroupInput& input, const Operand& in,
             const Operand& out, const Rows& rows) {
  const auto item = item_size(kernel.dtype);
  const int64_t size = input.narrow ? 1 : kernel.width, width = kernel.width;
  const auto bytes = static_cast<int64_t>(address_of(out.data) - address_of(in.data));
  const bool has_rows = in.ld != 0 && out.ld != 0;
  if (bytes == 0 && in.ld == out.ld && size == width && has_rows) return false;
  const int64_t last = rows.end - 1;
  const int64_t shift = floor_divide(bytes, item);  // elements of `in` before the first of `out`
  const int64_t out_begin = shift + int64_t{rows.begin} * out.ld,
                out_end = shift + last * out.ld + width;
  const int64_t in_begin = int64_t{rows.begin} * in.ld, in_end = last * in.ld + size;
  if (out_begin >= in_end || in_begin >= out_end) return false;
  if (in.ld != out.ld || !has_rows) return true;
  // Row r of `out` begins in row r + floor(shift / ld) of `in`, maybe beside its elements.
  const int64_t column = shift - floor_divide(shift, in.ld) * in.ld;
  return column < size || column + width > in.ld;
}

[[noreturn]] void fail_operand(const GroupKernel& kernel, const char* what, size_t number,
                               const char* expected) {
  fail("[cuda] expected ", expected, " for ", what, " ", number, " of the group '", kernel.name,
       "', got other ones than it was compiled for; print it again");
}

void check_input(const GroupKernel& kernel, size_t i, const DeviceCall& call) {
  const GroupOperand& printed = kernel.inputs[i];
  if (kernel.reads[i].read != Read::kShared && call.in[i].ld != printed.ld) {
    fail_operand(kernel, "input", i, "rows of the same distance");
  }
  const Table& table = call.tables[i];
  const bool right = kernel.reads[i].read == Read::kIndexed ? table.index != nullptr
                     : kernel.reads[i].read == Read::kListSum
                         ? table.ptr != nullptr && (table.list != nullptr) == printed.list &&
                               (table.part != nullptr) == printed.part
                         : true;
  if (!right) fail_operand(kernel, "input", i, "arrays of a table");
}

void check_output(const GroupKernel& kernel, size_t j, const DeviceCall& call) {
  if (call.out[j].ld != kernel.output_lds[j]) {
    fail_operand(kernel, "output", j, "rows of the same distance");
  }
  if (call.rows.begin >= call.rows.end) return;
  for (size_t i = 0; i < kernel.inputs.size(); ++i) {
    const Read read = kernel.reads[i].read;
    if (!kernel.used[i] || (read != Read::kRow && read != Read::kShared)) continue;
    if (collide(kernel, kernel.reads[i], call.in[i], call.out[j], call.rows)) {
      fail("[cuda] expected output ", j, " of the group '", kernel.name, "' apart from input ", i,
           " or element on element, got memory that they share; place it elsewhere");
    }
  }
}

}  // namespace

std::vector<Address> group_arguments(const GroupKernel& group, const DeviceCall& call) {
  std::vector<Address> arguments;
  arguments.reserve(4 * group.inputs.size() + group.output_lds.size());
  // In the order of each_pointer().
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    if (!group.used[i]) continue;
    check_input(group, i, call);
    arguments.push_back(address_of(call.in[i].data));
    const Table& table = call.tables[i];
    if (group.reads[i].read == Read::kIndexed) arguments.push_back(address_of(table.index));
    if (group.reads[i].read != Read::kListSum) continue;
    arguments.push_back(address_of(table.ptr));
    if (group.inputs[i].list) arguments.push_back(address_of(table.list));
    if (group.inputs[i].part) arguments.push_back(address_of(table.part));
  }
  for (size_t j = 0; j < group.output_lds.size(); ++j) {
    check_output(group, j, call);
    arguments.push_back(address_of(call.out[j].data));
  }
  return arguments;
}

int columns_at(const GroupKernel& group, const DeviceCall& call) {
  Address bits = 0;
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    if (group.used[i] && !group.reads[i].narrow) bits |= address_of(call.in[i].data);
  }
  for (size_t j = 0; j < group.output_lds.size(); ++j) bits |= address_of(call.out[j].data);
  const auto bytes = static_cast<Address>(group.columns * item_size(group.dtype));
  return bits % bytes == 0 ? group.columns : 1;
}

void launch_group(const GroupKernel& group, const Kernel& kernel, const Stream& stream,
                  const DeviceCall& call) {
  const int64_t places = (int64_t{call.rows.end} - call.rows.begin) * (group.width / group.columns);
  if (places <= 0) return;
  const std::vector<Address> arguments = group_arguments(group, call);
  constexpr int64_t threads = GroupKernel::kThreads;
  const int64_t blocks = std::min((places + threads - 1) / threads, kMostBlocks);
  kernel.launch(stream, {static_cast<unsigned>(blocks), GroupKernel::kThreads, 0},
                Argument{arguments.data(), arguments.size() * sizeof(Address)}, call.rows);
}

}  // namespace cavs::cuda
