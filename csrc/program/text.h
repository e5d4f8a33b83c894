// The words that Python writes a program in: spaces, roles, tables.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"

namespace cavs {

// "none", "vertex", "edge", "graph", "unique:NAME". Each throws Error(kValue) on any other word.
Space parse_space(const std::string& text, const std::vector<UniqueSpec>& uniques);
// "", "child", "slot:K", ..., "unique:NAME".
TableSpec parse_table(const std::string& text, const std::vector<UniqueSpec>& uniques);
Role parse_role(const std::string& text);                        // "arena", "param", ...
SegmentKind parse_segment_kind(const std::string& text);         // "rows", "levels", "global"
DType parse_dtype(const std::string& text);                      // "float32", "float64"
DType parse_value_dtype(const std::string& text, DType floats);  // "float", "int32"
Device parse_device(const std::string& text);                    // "cpu", "cuda"

std::string space_name(const Space& space, const std::vector<UniqueSpec>& uniques);

inline bool operator==(const Space& a, const Space& b) {
  return a.kind == b.kind && (a.kind != SpaceKind::kUnique || a.unique == b.unique);
}
inline bool operator!=(const Space& a, const Space& b) { return !(a == b); }

}  // namespace cavs
