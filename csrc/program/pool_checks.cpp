// Checks of the kernels that pool the images of a row.
#include "program/pool_checks.h"

#include "program/instruction_check.h"

namespace cavs {
namespace {

using Check = InstructionCheck;

// Whether windows of `size` begin within reach of a line of `length`, each with an element of it.
bool cut(int64_t length, int64_t windows, int64_t size, int64_t stride, int64_t before) {
  constexpr int64_t kLimit = int64_t{1} << 31;
  return length >= 1 && windows >= 1 && size >= 1 && size < kLimit && stride >= 1 && before >= 0 &&
         before < size && (windows == 1 || stride <= (length - 1 + before) / (windows - 1));
}

// Rows of `image` elements, cut into windows as the attributes say, of which a row has `windows`.
void check_windows(const Check& c, int64_t image, int64_t windows) {
  c.floats();
  const auto& it = c.attributes<PoolAttributes>();
  c.expect(cut(it.height, it.windows_y, it.size_y, it.stride_y, it.top) &&
               cut(it.width, it.windows_x, it.size_x, it.stride_x, it.left),
           "windows with an element of the image each");
  const auto divides = [](int64_t part, int64_t* whole) {
    if (part < 1 || *whole % part != 0) return false;
    *whole /= part;
    return true;
  };
  c.expect(divides(it.height, &image) && divides(it.width, &image) && image == it.outer &&
               divides(it.windows_y, &windows) && divides(it.windows_x, &windows) &&
               windows == it.outer,
           "sizes outer * height * width and outer * windows_y * windows_x");
}

}  // namespace

void check_pool(const Check& c) { check_windows(c, c.in(0).size, c.out().size); }
void check_unpool(const Check& c) { check_windows(c, c.out().size, c.in(0).size); }

void check_max_pool_grad(const Check& c) {
  check_windows(c, c.out().size, c.in(0).size);
  c.expect(c.in(1).size == c.in(0).size && c.in(2).size == c.out().size,
           "a cotangent and a maximum for each window, and an image");
}

void check_max_pool_tangent(const Check& c) {
  check_windows(c, c.in(0).size, c.out().size);
  c.expect(c.in(1).size == c.out().size && c.in(2).size == c.in(0).size,
           "an image, the maximum of each window, and another image");
}

}  // namespace cavs
