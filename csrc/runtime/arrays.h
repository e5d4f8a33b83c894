// The arrays that a caller gives to a run.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "program/program.h"

namespace cavs {

struct Executable;
struct RowCounts;

// An array of the caller, dense.
struct ExternalArray {
  void* data = nullptr;
  int64_t elements = 0;
  DType dtype = DType::kFloat32;
  int64_t version = -1;  // of a parameter: changes with its values; negative where unknown
};

struct ArrayLists {
  std::vector<ExternalArray> params, inputs, outputs = {};
  std::vector<ExternalArray> states = {};  // that the caller holds, of as many rows as it has

  // The list for values of this role; null for a role without arrays of the caller.
  const std::vector<ExternalArray>* of(Role role) const;
};

// Throws Error(kShape) or Error(kValue) where an array is missing, or is not of the dtype and size
// that its value needs.
void check_arrays(const Executable& exe, const RowCounts& counts, const ArrayLists& arrays);

}  // namespace cavs
