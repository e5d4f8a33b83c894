// Which ids have no results yet.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <vector>

namespace cavs {

// Those of the ids for which `known` is false, ascending and distinct; None if there are none. The
// entry for the id -1 is the last of `known`.
pybind11::object missing_among(const std::vector<int32_t>& ids,
                               const pybind11::array_t<bool, pybind11::array::c_style>& known);

}  // namespace cavs
