// Reads and writes the words of a program.
#include "program/text.h"

#include <utility>

#include "base/error.h"

namespace cavs {
namespace {

constexpr int kMaxArgument = 1 << 16;

template <class T>
using Words = std::vector<std::pair<const char*, T>>;

template <class T>
T look_up(const Words<T>& words, const std::string& text, const char* what) {
  std::string known;
  for (const auto& [word, value] : words) {
    if (text == word) return value;
    known += std::string(known.empty() ? "" : ", ") + "'" + word + "'";
  }
  fail(ErrorKind::kValue, "[program] expected ", what, " (", known, "), got '", text,
       "'; write one of these");
}

}  // namespace

Space parse_space(const std::string& text) {
  static const Words<SpaceKind> words = {{"none", SpaceKind::kNone}, {"vertex", SpaceKind::kVertex},
                                         {"leaf", SpaceKind::kLeaf}, {"inner", SpaceKind::kInner},
                                         {"edge", SpaceKind::kEdge}, {"graph", SpaceKind::kGraph}};
  return {look_up(words, text, "a space"), -1};
}

TableSpec parse_table(const std::string& text, int argument) {
  static const Words<TableKind> words = {{"", TableKind::kNone},
                                         {"child", TableKind::kChild},
                                         {"slot", TableKind::kSlot},
                                         {"parent", TableKind::kParent},
                                         {"children", TableKind::kChildren},
                                         {"child_rows", TableKind::kChildRows},
                                         {"parents", TableKind::kParents},
                                         {"parent_rows", TableKind::kParentRows},
                                         {"graph", TableKind::kGraph},
                                         {"graph_vertices", TableKind::kGraphVertices},
                                         {"vertex_order", TableKind::kVertexOrder},
                                         {"edge_order", TableKind::kEdgeOrder},
                                         {"edge_slot", TableKind::kEdgeSlot},
                                         {"siblings", TableKind::kSiblings},
                                         {"unique", TableKind::kUnique},
                                         {"unique_rows", TableKind::kUniqueRows},
                                         {"unique_ids", TableKind::kUniqueIds},
                                         {"unique_parents", TableKind::kUniqueParents},
                                         {"unique_parent_rows", TableKind::kUniqueParentRows}};
  CAVS_CHECK(argument >= 0 && argument < kMaxArgument, ErrorKind::kValue,
             "[program] expected the argument of table '", text, "' in 0..", kMaxArgument - 1,
             ", got ", argument, "; correct the table");
  return {look_up(words, text, "a table"), argument};
}

Role parse_role(const std::string& text) {
  static const Words<Role> words = {{"arena", Role::kArena}, {"param", Role::kParam},
                                    {"input", Role::kInput}, {"output", Role::kOutput},
                                    {"view", Role::kView},   {"constant", Role::kConstant}};
  return look_up(words, text, "a role");
}

SegmentKind parse_segment_kind(const std::string& text) {
  static const Words<SegmentKind> words = {{"rows", SegmentKind::kRows},
                                           {"levels", SegmentKind::kLevels},
                                           {"global", SegmentKind::kGlobal}};
  return look_up(words, text, "a kind of segment");
}

DType parse_dtype(const std::string& text) {
  static const Words<DType> words = {{"float32", DType::kFloat32}, {"float64", DType::kFloat64}};
  return look_up(words, text, "a program's dtype");
}

DType parse_value_dtype(const std::string& text, DType floats) {
  const Words<DType> words = {{"float", floats}, {"int32", DType::kInt32}};
  return look_up(words, text, "a value's dtype");
}

std::string space_name(const Space& space, const std::vector<UniqueSpec>& uniques) {
  switch (space.kind) {
    case SpaceKind::kNone:
      return "none";
    case SpaceKind::kVertex:
      return "vertex";
    case SpaceKind::kLeaf:
      return "leaf";
    case SpaceKind::kInner:
      return "inner";
    case SpaceKind::kEdge:
      return "edge";
    case SpaceKind::kGraph:
      return "graph";
    case SpaceKind::kUnique:
      break;
  }
  const auto index = static_cast<size_t>(space.unique);
  return "unique:" + (index < uniques.size() ? uniques[index].name : std::string("?"));
}

}  // namespace cavs
