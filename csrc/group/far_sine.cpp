// Computes sines of large numbers, by the formulas of a single lane.
#include "group/far_sine.h"

#include "group/one_lane.h"
// The lane type comes first.
#include "group/special_math.h"

namespace cavs {
namespace {

void replace(FarLanes* lanes, long count, int quarter) {
  for (long i = 0; i < count; ++i) {
    const bool far = abs_(lanes->x[i]) > kFarAngle;
    lanes->near[i] = sine_where_far(far, lanes->x[i], lanes->near[i], quarter);
  }
}

}  // namespace

float far_sine(float x, int quarter) { return sine_where_far(true, x, x, quarter); }
void replace_far_sines(FarLanes* lanes, long count) { replace(lanes, count, 0); }
void replace_far_cosines(FarLanes* lanes, long count) { replace(lanes, count, 1); }

}  // namespace cavs
