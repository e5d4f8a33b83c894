// Arrays in the memory of a GPU as Python has them: any object with __cuda_array_interface__.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "base/device.h"
#include "base/dtype.h"
#include "bindings/array.h"

namespace cavs {

// Whether the object says that its numbers stand in the memory of a GPU.
bool is_device_array(pybind11::handle value);

// An array of the interface's version 2 or later, in `held` what keeps its memory alive. Throws
// Error of the name's kind where it is not as the interface says. `shape` keeps the form's shape.
ArrayForm read_device_array(pybind11::handle value, const ArrayName& name,
                            std::vector<int64_t>* shape);

// How Python makes arrays of a GPU; both are set once, when the first GPU is used.
//   make(ordinal, shape, dtype): a new array, C-contiguous, of any content
//   wrap(ordinal, address, shape, dtype, owner): one over memory that `owner` keeps
void set_array_makers(const pybind11::object& make, const pybind11::object& wrap);

pybind11::object make_device_array(Device device, const std::vector<int64_t>& shape, DType dtype);
pybind11::object wrap_device_array(Device device, const void* data,
                                   const std::vector<int64_t>& shape, DType dtype,
                                   const pybind11::object& owner);

}  // namespace cavs
