// Checks of the kernels that go along lines of a row, or move its elements.
#include "program/line_checks.h"

#include "program/instruction_check.h"

namespace cavs {
namespace {

using Check = InstructionCheck;

// Rows of `size` elements, cut into lines as the attributes say.
void check_lines(const Check& c, const AxisAttributes& it, int64_t size) {
  const auto divides = [&](int64_t part, int64_t whole) { return part >= 1 && whole % part == 0; };
  c.expect(divides(it.inner, size) && divides(it.length, size / it.inner) &&
               size / it.inner / it.length == it.outer,
           "sizes outer * length * inner");
}

void check_axis(const Check& c, bool reduces) {
  c.floats();
  const auto& it = c.attributes<AxisAttributes>();
  check_lines(c, it, c.in(0).size);
  c.expect(c.out().size == (reduces ? it.outer * it.inner : c.in(0).size),
           "an output of outer * inner elements, or of the input's size");
}

// `whole` is cut into lines; `picked` holds `count` elements of each.
void check_picked(const Check& c, int64_t whole, int64_t picked) {
  const auto& it = c.attributes<PickAttributes>();
  check_lines(c, it, whole);
  c.expect(c.in(0).dtype == c.program.dtype && c.out().dtype == c.program.dtype &&
               c.in(1).dtype == DType::kInt32 && it.count >= 1 &&
               c.in(1).size == (it.along ? picked : it.count) && picked % it.count == 0 &&
               picked / it.count == it.outer * it.inner,
           "floating-point numbers, and an int32 for each element of a line that is picked");
}

}  // namespace

void check_along(const InstructionCheck& c) { check_axis(c, false); }
void check_reduction(const InstructionCheck& c) { check_axis(c, true); }

void check_one_hot_max(const InstructionCheck& c) {
  check_axis(c, false);
  c.same_sizes();
  c.expect(c.attributes<AxisAttributes>().inner == 1, "lines of adjacent elements");
}

void check_row_sum(const InstructionCheck& c) {
  check_axis(c, true);
  c.expect(c.attributes<AxisAttributes>().inner == 1, "lines of adjacent elements");
}

void check_scan(const InstructionCheck& c) {
  c.floats();
  c.same_sizes();
  check_lines(c, c.attributes<ScanAttributes>(), c.in(0).size);
}

void check_order(const InstructionCheck& c) {
  const auto& it = c.attributes<OrderAttributes>();
  check_lines(c, it, c.in(0).size);
  c.expect(c.in(0).dtype == c.program.dtype && c.out().dtype == DType::kInt32 && it.count >= 1 &&
               it.count <= it.length && it.length < (int64_t{1} << 31) &&
               c.out().size == it.outer * it.count * it.inner,
           "floating-point numbers, and `count` places of each line");
}

void check_pick(const InstructionCheck& c) { check_picked(c, c.in(0).size, c.out().size); }
void check_put(const InstructionCheck& c) { check_picked(c, c.out().size, c.in(0).size); }

// The last element of the largest place must be within the operand.
void check_permute(const InstructionCheck& c) {
  c.floats();
  const auto& it = c.attributes<PermuteAttributes>();
  c.expect(it.sizes.rank == it.steps.rank && it.sizes.rank >= 0 && it.sizes.rank <= kMaxRank,
           "sizes and steps of one rank of 0..8");
  int64_t size = 1, last = 0;
  for (int i = 0; i < it.sizes.rank; ++i) {
    const int64_t n = it.sizes.sizes[i], step = it.steps.sizes[i];
    c.expect(n >= 1 && n <= c.out().size / size && step >= 0 &&
                 (n == 1 || step <= (c.in(0).size - 1 - last) / (n - 1)),
             "sizes that multiply to the output's, and steps within the operand");
    size *= n;
    last += (n - 1) * step;
  }
  c.expect(size == c.out().size, "sizes that multiply to the output's");
}

void check_logsumexp_grad(const InstructionCheck& c) {
  c.floats();
  const auto& it = c.attributes<AxisAttributes>();
  c.expect(it.inner == 1 && it.outer >= 1 && it.length >= 1 && c.in(0).size == it.outer &&
               c.in(1).size == it.outer && c.in(2).size == c.out().size &&
               c.out().size % it.length == 0 && c.out().size / it.length == it.outer,
           "a cotangent and a result of size outer, sizes outer * length");
}

}  // namespace cavs
