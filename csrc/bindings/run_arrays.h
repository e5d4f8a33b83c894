// Makes the arguments of runs from Python's objects.
#pragma once

#include <cstdint>
#include <vector>

#include "bindings/array.h"
#include "runtime/arrays.h"
#include "runtime/random_context.h"

namespace cavs {

// The caller must hold `arrays` as long as the result is used.
std::vector<ExternalArray> external(const std::vector<Array>& arrays);

// Sets the version of each parameter, a number that changes with its values (see ExternalArray). An
// empty list leaves the versions as they are.
void set_versions(const std::vector<int64_t>& versions, std::vector<ExternalArray>* params);

RandomContext random_context(uint64_t seed, uint64_t step, bool training);

}  // namespace cavs
