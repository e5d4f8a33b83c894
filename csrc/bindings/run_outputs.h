// The arrays that runs write to.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "bindings/program.h"

namespace cavs {

// The caller's arrays, with a new one in place of each None. All are new where `given` is None.
// `rows`: how many rows a space has.
pybind11::list complete_outputs(Device device, const std::vector<OutputSpec>& specs,
                                const pybind11::object& given,
                                const std::function<int64_t(const Space&)>& rows);

}  // namespace cavs
