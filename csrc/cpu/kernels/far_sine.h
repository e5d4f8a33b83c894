// Sines of numbers so large that lanes are computed one by one: beyond kFarAngle of special_math.h.
#pragma once

namespace cavs {

// The sine of x plus `quarter` quarter turns, for |x| > kFarAngle; NaN for infinities.
float far_sine(float x, int quarter);

// What compiled groups call: of the first `count` lanes, near[i] becomes the sine, or the cosine,
// of x[i] where that is far.
struct FarLanes {
  float x[16], near[16];
};
void replace_far_sines(FarLanes* lanes, long count);
void replace_far_cosines(FarLanes* lanes, long count);

}  // namespace cavs
