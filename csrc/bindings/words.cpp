// The words of programs, as Python's enumerations.
#include <pybind11/native_enum.h>

#include "bindings/bindings.h"
#include "group/group.h"
#include "program/program.h"

namespace py = pybind11;

namespace cavs {
namespace {

void bind_values(py::module_& m) {
  py::native_enum<DType>(m, "DType", "enum.Enum", "The type of elements.")
      .value("FLOAT32", DType::kFloat32)
      .value("FLOAT64", DType::kFloat64)
      .value("INT32", DType::kInt32)
      .finalize();
  py::native_enum<SpaceKind>(m, "SpaceKind", "enum.Enum",
                             "The rows of a value; distinct ids are named by their number.")
      .value("NONE", SpaceKind::kNone)
      .value("VERTEX", SpaceKind::kVertex)
      .value("LEAF", SpaceKind::kLeaf)
      .value("INNER", SpaceKind::kInner)
      .value("EDGE", SpaceKind::kEdge)
      .value("GRAPH", SpaceKind::kGraph)
      .finalize();
  py::native_enum<Role>(m, "Role", "enum.Enum", "Where a value lives.")
      .value("ARENA", Role::kArena)
      .value("PARAM", Role::kParam)
      .value("INPUT", Role::kInput)
      .value("OUTPUT", Role::kOutput)
      .value("VIEW", Role::kView)
      .finalize();
}

void bind_tables(py::module_& m) {
  py::native_enum<TableKind>(m, "TableKind", "enum.Enum", "Which rows of an operand are read.")
      .value("NONE", TableKind::kNone)
      .value("CHILD", TableKind::kChild)
      .value("SLOT", TableKind::kSlot)
      .value("PARENT", TableKind::kParent)
      .value("CHILDREN", TableKind::kChildren)
      .value("CHILD_ROWS", TableKind::kChildRows)
      .value("PARENTS", TableKind::kParents)
      .value("PARENT_ROWS", TableKind::kParentRows)
      .value("GRAPH", TableKind::kGraph)
      .value("GRAPH_VERTICES", TableKind::kGraphVertices)
      .value("VERTEX_ORDER", TableKind::kVertexOrder)
      .value("EDGE_ORDER", TableKind::kEdgeOrder)
      .value("SIBLINGS", TableKind::kSiblings)
      .value("UNIQUE", TableKind::kUnique)
      .value("UNIQUE_ROWS", TableKind::kUniqueRows)
      .value("UNIQUE_IDS", TableKind::kUniqueIds)
      .value("UNIQUE_PARENTS", TableKind::kUniqueParents)
      .value("UNIQUE_PARENT_ROWS", TableKind::kUniqueParentRows)
      .finalize();
}

}  // namespace

void bind_words(py::module_& m) {
  bind_values(m);
  bind_tables(m);
  py::native_enum<SegmentKind>(m, "SegmentKind", "enum.Enum", "How a segment runs.")
      .value("ROWS", SegmentKind::kRows)
      .value("LEVELS", SegmentKind::kLevels)
      .value("GLOBAL", SegmentKind::kGlobal)
      .value("SUMS", SegmentKind::kSums)
      .finalize();
  py::native_enum<Read>(m, "Read", "enum.Enum", "How a group reads rows of an input.")
      .value("ROW", Read::kRow)
      .value("INDEXED", Read::kIndexed)
      .value("LIST_SUM", Read::kListSum)
      .value("SHARED", Read::kShared)
      .finalize();
}

}  // namespace cavs
