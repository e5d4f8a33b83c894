// NumPy arrays as runs take them.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <vector>

#include "runtime/arrays.h"
#include "runtime/random_context.h"

namespace cavs {

// Throws Error(kShape) where one is no dense, aligned array of a dtype that the engine has, or is
// to be written and read-only. `list`: what to call them in errors.
std::vector<ExternalArray> read_arrays(const pybind11::sequence& items, const char* list,
                                       bool written);

// Of each parameter a number that changes with its values (see ExternalArray); none leaves them as
// they are.
void set_versions(const std::vector<int64_t>& versions, std::vector<ExternalArray>* params);

RandomContext random_context(uint64_t seed, uint64_t step, bool training);

}  // namespace cavs
