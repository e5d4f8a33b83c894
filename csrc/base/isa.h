// Which instruction set the hot kernels use: chosen once, at start-up.
#pragma once

namespace cavs {

enum class Isa { kGeneric, kAvx2, kAvx512 };

// The best set that the machine has, or the lesser one that the environment variable CAVS_ISA names
// ("generic", "avx2", "avx512"). current_isa() passes over a name that is unknown or that the
// machine does not have; check_isa() throws Error(kValue) for it.
Isa current_isa();
void check_isa();
const char* isa_name(Isa isa);

}  // namespace cavs
