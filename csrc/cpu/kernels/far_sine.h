// Sines of numbers beyond kFarAngle of special_math.h, whose angle takes more than floats.
#pragma once

namespace cavs {

// The sine of x plus `quarter` quarter turns, for |x| > kFarAngle, where no product is added
// without rounding; NaN for infinities.
float far_sine(float x, int quarter);

// What compiled groups call: of the first `count` lanes, near[i] becomes the sine, or the cosine,
// of x[i] where that is far.
struct FarLanes {
  float x[16], near[16];
};
void replace_far_sines(FarLanes* lanes, long count);
void replace_far_cosines(FarLanes* lanes, long count);

}  // namespace cavs
