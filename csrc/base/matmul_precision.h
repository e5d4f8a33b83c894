// How products of float32 matrices are computed on devices that have a faster, coarser way.
#pragma once

namespace cavs {

// Whether factors may be rounded to TF32 (10 bits of mantissa) before they are multiplied, with
// sums in float32. Off at first; for all calls from then on.
bool uses_tf32();
void set_uses_tf32(bool enabled);

}  // namespace cavs
