// Counts rows by space.
#include "runtime/row_counts.h"

namespace cavs {

int64_t RowCounts::of(const Space& space) const {
  switch (space.kind) {
    case SpaceKind::kNone:
      return 1;
    case SpaceKind::kVertex:
    case SpaceKind::kLeaf:
    case SpaceKind::kInner:
      return vertices;
    case SpaceKind::kEdge:
      return edges;
    case SpaceKind::kGraph:
      return graphs;
    case SpaceKind::kUnique:
      break;
  }
  return uniques[static_cast<size_t>(space.unique)];
}

}  // namespace cavs
