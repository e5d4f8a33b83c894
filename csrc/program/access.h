// How instructions reach values: through views, and through tables.
#pragma once

#include <cstdint>
#include <vector>

#include "program/program.h"

namespace cavs {

// The value that owns the memory of a value, and the column in it where the value begins.
struct Root {
  int value = -1;
  int64_t column = 0;
};

// One per value; a value that is no view is its own root. Throws Error(kValue) where views form a
// circle or do not fit into their base.
std::vector<Root> resolve_views(const Program& program);

enum class Access : uint8_t {
  kShared,   // the operand has no rows
  kAligned,  // row r reads row r
  kChunk,    // an edge reads its parent, a vertex its own edges: rows of the same chunk
  kCross,    // any row
};

// How an instruction reaches its input `input`.
Access access_of(const Program& program, const Instruction& instruction, size_t input);

// How many columns an instruction reaches from the first of its input `input`: of one that it reads
// by PARENT_ROWS, those of all slots, which stand side by side.
int64_t columns_read(const Program& program, const Instruction& instruction, size_t input);

// Whether a table lists, for each distinct id, the edges to the parents of its rows. Such lists are
// made only for programs that read them.
bool lists_parents(TableKind kind);

// Whether a table leads from one row to any number of rows.
bool is_list(TableKind kind);

}  // namespace cavs
