// NumPy's dtypes as the engine's.
#pragma once

#include <pybind11/numpy.h>

#include <optional>

#include "program/program.h"

namespace cavs {

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr char kForeignOrder = '>';
#else
constexpr char kForeignOrder = '<';
#endif

// In whatever byte order; none for a dtype that the engine has not.
inline std::optional<DType> dtype_of(const pybind11::dtype& dtype) {
  const char kind = dtype.kind();
  const auto bytes = dtype.itemsize();
  if (kind == 'f' && bytes == 4) return DType::kFloat32;
  if (kind == 'f' && bytes == 8) return DType::kFloat64;
  if (kind == 'i' && bytes == 4) return DType::kInt32;
  return std::nullopt;
}

}  // namespace cavs
