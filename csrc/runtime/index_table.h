// The arrays through which kernels read a table.
#pragma once

#include <cstdint>

namespace cavs {

// An index: entry r (of the driving space) refers to row `index[r]` of an operand, -1 for none. A
// CSR table: row r stands for the operand's rows list[ptr[r]] .. list[ptr[r + 1] - 1], or, where
// list is null, for rows ptr[r] .. ptr[r + 1] - 1 themselves. Where `part` is not null, entry i
// names only part[i] of its row; each part has as many elements as the operand.
struct IndexTable {
  const int32_t* index = nullptr;
  const int32_t* ptr = nullptr;
  const int32_t* list = nullptr;
  const int32_t* part = nullptr;
};

}  // namespace cavs
