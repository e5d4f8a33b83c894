// Computes sines of large numbers, by the formulas of a single lane, or by those of the machine's.
#include "cpu/kernels/far_sine.h"

#include "cpu/isa_table.h"
#include "group/one_lane.h"
// The lane type comes first.
#include "group/special_math.h"

namespace cavs {

float far_sine(float x, int quarter) { return sine_where_far(true, x, x, quarter); }

void replace_far_sines(FarLanes* lanes, long count) { isa_table().far_sines(lanes, count, 0); }
void replace_far_cosines(FarLanes* lanes, long count) { isa_table().far_sines(lanes, count, 1); }

}  // namespace cavs
