// Arrays of native objects as NumPy's, without a copy.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <vector>

namespace cavs {

// Read-only. `owner`, the Python object that holds `values`, lives as long as the array.
inline pybind11::array view(const std::vector<int32_t>& values, const pybind11::object& owner) {
  pybind11::array_t<int32_t> array({static_cast<pybind11::ssize_t>(values.size())}, values.data(),
                                   owner);
  array.attr("setflags")(pybind11::arg("write") = false);
  return std::move(array);
}

}  // namespace cavs
