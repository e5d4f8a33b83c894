// Element types, which memory, programs and kernels name.
#pragma once

#include <cstdint>

namespace cavs {

enum class DType : uint8_t { kFloat32, kFloat64, kInt32 };

inline int64_t item_size(DType dtype) { return dtype == DType::kFloat64 ? 8 : 4; }

inline const char* dtype_name(DType dtype) {
  return dtype == DType::kFloat32 ? "float32" : dtype == DType::kFloat64 ? "float64" : "int32";
}

}  // namespace cavs
