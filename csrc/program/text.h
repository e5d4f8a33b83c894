// The words that Python writes a program in: spaces, roles, tables.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"

namespace cavs {

// "none", "vertex", "leaf", "inner", "edge", "graph"; distinct ids go by their number. Each throws
// Error(kValue) on any other word.
Space parse_space(const std::string& text);
// "", "child", ..., and of a position, a number of positions or distinct ids "slot", "parent_rows",
// "unique", ... with an argument.
TableSpec parse_table(const std::string& text, int argument = 0);
Role parse_role(const std::string& text);                        // "arena", "param", ...
SegmentKind parse_segment_kind(const std::string& text);         // "rows", "levels", "global"
DType parse_dtype(const std::string& text);                      // "float32", "float64"
DType parse_value_dtype(const std::string& text, DType floats);  // "float", "int32"

// For people to read.
std::string space_name(const Space& space, const std::vector<UniqueSpec>& uniques);

inline bool operator==(const Space& a, const Space& b) {
  return a.kind == b.kind && (a.kind != SpaceKind::kUnique || a.unique == b.unique);
}
inline bool operator!=(const Space& a, const Space& b) { return !(a == b); }

}  // namespace cavs
