// Looks for NaN in states when they are written, because later rows may take their place.
#pragma once

#include <vector>

#include "cpu/kernel.h"
#include "runtime/states.h"

namespace cavs {

// Looks at the rows of a call that has run.
void check_states(DType dtype, const std::vector<StateWrite>& writes, const KernelCall& call,
                  FirstNan* first);

}  // namespace cavs
