// The cores that this process may use.
#pragma once

namespace cavs {

// Number of cores that this process may use (its affinity mask, and the control group's quota).
int available_cores();

}  // namespace cavs
