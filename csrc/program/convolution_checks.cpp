// What must hold of a convolution, so that its kernels reach no other memory.
#include "program/convolution_checks.h"

#include "program/instruction_check.h"

namespace cavs {
namespace {

constexpr int64_t kLimit = int64_t{1} << 31;

template <size_t Count>
int64_t product(const InstructionCheck& c, const int64_t (&sizes)[Count]) {
  int64_t product = 1;
  for (const int64_t size : sizes) {
    c.expect(size >= 1 && size < kLimit / product, "sizes within 1..2^31 - 1");
    product *= size;
  }
  return product;
}

// The places are those of the kernel within an image with a border of any width below and to the
// right. The whole image with its borders has to be counted by 32 bits.
void check_axis(const InstructionCheck& c, const ConvolutionAttributes& it, int axis) {
  const int64_t size = it.image[1 + axis], places = it.places[1 + axis];
  const int64_t stride = it.stride[axis], dilation = it.dilation[axis];
  const int64_t before = it.padding[axis], kernel = it.kernel[axis];
  c.expect(before >= 0 && before < kLimit, "padding of 0 or more");
  c.expect(stride <= kLimit / places && dilation <= kLimit / kernel,
           "places that 32 bits can count");
  const int64_t reach = (places - 1) * stride + dilation * (kernel - 1) + 1;
  c.expect(before + size < kLimit && reach < kLimit, "images that 32 bits can count");
}

// The sizes of image, weight and places, which the operands must have.
struct Sizes {
  int64_t image, weight, places;
};

Sizes check_sizes(const InstructionCheck& c) {
  c.floats();
  const auto& it = c.attributes<ConvolutionAttributes>();
  Sizes sizes;
  sizes.image = product(c, it.image);
  sizes.places = product(c, it.places);
  const int64_t kernel = product(c, it.kernel);
  product(c, it.stride);
  product(c, it.dilation);
  check_axis(c, it, 0);
  check_axis(c, it, 1);
  const int64_t channels = it.image[0], outputs = it.places[0];
  c.expect(it.groups >= 1 && channels % it.groups == 0 && outputs % it.groups == 0,
           "groups of equal numbers of channels and outputs");
  c.expect(channels / it.groups < kLimit / kernel / outputs, "a weight that 32 bits can count");
  sizes.weight = outputs * (channels / it.groups) * kernel;
  int64_t last = -1;
  for (const int64_t tap : it.taps) {
    c.expect(tap > last && tap < kernel, "taps of the kernel in ascending order");
    last = tap;
  }
  const int64_t high =
      it.padding[0] + it.image[1] + it.dilation[0] * kernel + it.places[1] * it.stride[0];
  const int64_t wide =
      it.padding[1] + it.image[2] + it.dilation[1] * kernel + it.places[2] * it.stride[1];
  const int64_t planes = channels > outputs ? channels : outputs;
  c.expect(high < kLimit / 8 / wide / planes, "images with borders that 32 bits can count");
  return sizes;
}

}  // namespace

void check_conv(const InstructionCheck& c) {
  const Sizes sizes = check_sizes(c);
  c.expect(
      c.in(0).size == sizes.image && c.in(1).size == sizes.weight && c.out().size == sizes.places,
      "an image and a weight that give the places");
}

void check_conv_input(const InstructionCheck& c) {
  const Sizes sizes = check_sizes(c);
  c.expect(
      c.in(0).size == sizes.places && c.in(1).size == sizes.weight && c.out().size == sizes.image,
      "places and a weight that give the image");
}

void check_conv_weight(const InstructionCheck& c) {
  const Sizes sizes = check_sizes(c);
  c.expect(
      c.in(0).size == sizes.image && c.in(1).size == sizes.places && c.out().size == sizes.weight,
      "an image and places that give the weight");
}

double flops_of_convolution(const Program&, const Instruction& instruction) {
  const auto& it = std::get<ConvolutionAttributes>(instruction.attributes);
  double flops = 2.0 * static_cast<double>(it.num_taps());
  for (const int64_t size : it.places) flops *= static_cast<double>(size);
  return flops * static_cast<double>(it.image[0] / it.groups);
}

}  // namespace cavs
