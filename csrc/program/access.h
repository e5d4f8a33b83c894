// How instructions reach values: through views, and through tables.
#pragma once

#include <cstdint>
#include <vector>

#include "program/program.h"

namespace cavs {

// The value that owns a value's memory, and the first of its columns in it.
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

// Of input `input` of an instruction.
Access access_of(const Program& program, const Instruction& instruction, size_t input);

// Tables from distinct ids to the edges to the parents, made for the programs that read them.
bool lists_parents(TableKind kind);

// Tables from a row to any number of rows.
bool is_list(TableKind kind);

}  // namespace cavs
