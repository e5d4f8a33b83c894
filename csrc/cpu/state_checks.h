// Whether states are NaN: looked at as they are written, since later rows may stand in their place.
#pragma once

#include <vector>

#include "cpu/kernel.h"
#include "runtime/states.h"

namespace cavs {

// Looks at the rows of a call that has run.
void check_states(DType dtype, const std::vector<StateWrite>& writes, const KernelCall& call,
                  FirstNan* first);

}  // namespace cavs
