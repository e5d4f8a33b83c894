// Computes sines of large numbers, by the formulas of a single lane.
#include "cpu/kernels/far_sine.h"

#include "base/isa.h"
#include "group/one_lane.h"
// The lane type comes first.
#include "group/special_math.h"

// With the instruction where the machine has it, else by the library: the same bits.
#if defined(__x86_64__)
#define CAVS_FUSED __attribute__((target("fma")))
#else
#define CAVS_FUSED
#endif

namespace cavs {
namespace {

CAVS_INLINE float sine_of_far(float x, int quarter) { return sine_where_far(true, x, x, quarter); }

CAVS_FUSED float fused_sine_of_far(float x, int quarter) { return sine_of_far(x, quarter); }

CAVS_INLINE void replace(FarLanes* lanes, long count, int quarter) {
  for (long i = 0; i < count; ++i) {
    const bool far = abs_(lanes->x[i]) > kFarAngle;
    lanes->near[i] = sine_where_far(far, lanes->x[i], lanes->near[i], quarter);
  }
}

}  // namespace

float far_sine(float x, int quarter) {
  return current_isa() == Isa::kGeneric ? sine_of_far(x, quarter) : fused_sine_of_far(x, quarter);
}

// Groups are compiled where there is the instruction.
CAVS_FUSED void replace_far_sines(FarLanes* lanes, long count) { replace(lanes, count, 0); }
CAVS_FUSED void replace_far_cosines(FarLanes* lanes, long count) { replace(lanes, count, 1); }

}  // namespace cavs
