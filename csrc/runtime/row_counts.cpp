// Counts rows by space.
#include "runtime/row_counts.h"

#include <algorithm>

namespace cavs {

RowCounts::RowCounts(const Program& program, const Schedule& schedule)
    : vertices(schedule.num_vertices),
      leaves(schedule.num_leaves),
      edges(schedule.num_edges),
      graphs(schedule.num_graphs),
      program_(&program),
      schedule_(&schedule) {}

int64_t RowCounts::of(const Program& program, const Space& space) const {
  const auto sum = [&](const auto& count) {
    int64_t total = 0;
    for (const int member : program.member_sets[static_cast<size_t>(space.members)]) {
      total += count(member);
    }
    return total;
  };
  switch (space.kind) {
    case SpaceKind::kNone:
      return 1;
    case SpaceKind::kVertex:
    case SpaceKind::kLeaf:
    case SpaceKind::kInner:
      if (space.members < 0) return vertices;
      return sum([&](int type) {
        const TypeRows& rows = schedule_->types[static_cast<size_t>(type)];
        return rows.last - rows.first;
      });
    case SpaceKind::kEdge:
      if (space.members < 0) return edges;
      return sum([&](int list) { return edges_of(list); });
    case SpaceKind::kGraph:
      return graphs;
    case SpaceKind::kUnique:
      break;
  }
  return uniques[static_cast<size_t>(space.unique)];
}

// From the first to the last row of the types; types without rows do not count.
TypeRows RowCounts::hull(const Space& space) const {
  TypeRows hull;
  bool any = false;
  for (const int type : program_->member_sets[static_cast<size_t>(space.members)]) {
    const TypeRows& rows = schedule_->types[static_cast<size_t>(type)];
    if (rows.first == rows.last) continue;
    if (!any) hull = rows;
    any = true;
    hull.first = std::min(hull.first, rows.first);
    hull.last = std::max(hull.last, rows.last);
  }
  return hull;
}

int64_t RowCounts::first_of_types(const Space& space) const {
  if (space.kind == SpaceKind::kEdge) return 0;
  return space.kind == SpaceKind::kInner ? hull(space).inner : hull(space).first;
}

int64_t RowCounts::last_of_types(const Space& space) const {
  if (space.kind == SpaceKind::kEdge) return of(space);
  return space.kind == SpaceKind::kLeaf ? hull(space).inner : hull(space).last;
}

int64_t RowCounts::first_of_several(const std::vector<Space>& spaces) const {
  int64_t found = -1;
  for (const Space& space : spaces) {
    if (used(space) > 0) found = found < 0 ? first(space) : std::min(found, first(space));
  }
  return std::max<int64_t>(found, 0);
}

int64_t RowCounts::last_of_several(const std::vector<Space>& spaces) const {
  int64_t found = 0;
  for (const Space& space : spaces) {
    if (used(space) > 0) found = std::max(found, last(space));
  }
  return found;
}

}  // namespace cavs
