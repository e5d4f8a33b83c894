// Names the parts of a program, for messages.
#include "program/text.h"

namespace cavs {

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
