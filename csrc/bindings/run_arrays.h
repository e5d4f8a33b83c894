// What runs are given, from what Python has.
#pragma once

#include <cstdint>
#include <vector>

#include "bindings/array.h"
#include "runtime/phase.h"

namespace cavs {

// The arrays themselves must be held as long as these are used.
std::vector<ExternalArray> external(const std::vector<Array>& arrays);

// Of each parameter a number that changes with its values (see ExternalArray); none leaves them as
// they are.
void set_versions(const std::vector<int64_t>& versions, std::vector<ExternalArray>* params);

RandomContext random_context(uint64_t seed, uint64_t step, bool training);

}  // namespace cavs
