// The tables that instructions go through, as addresses of a batch's arrays.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "graph/schedule.h"
#include "program/program.h"
#include "runtime/index_table.h"
#include "runtime/unique.h"

namespace cavs {

// The lists of integers that a program reads of a batch. Those of the schedule have the meaning
// that they have there; those of edges are of one list of edges.
enum class List : uint8_t {
  kVertexOrder,
  kGraph,
  kGraphPtr,
  kGraphVertex,
  kLocal,
  kLevelPtr,
  kLevelEdgePtr,
  kEdgeOrder,
  kChild,
  kParent,
  kEdgeSlot,  // argument: below 0 as counted from the last child
  kChildPtr,
  kOutPtr,
  kOutEdge,
  kEdgeGraph,
  kEdgeLocal,
  kVertexPlaces,  // argument: number of the members; see Schedule::places_of_vertices
  kEdgePlaces,    //   the same, of edges
  kVerticesPtr,   //   the same, of vertices: CSR graph -> its vertices of these types
  kVerticesOfGraph,
  kSlot,         // argument: of which child; below 0 from the last one
  kParentsPtr,   // argument: by how many slots; below 0 the last ones
  kParentsRow,   //   the same
  kParentsSlot,  //   the same
  // A device has these among the others.
  kGraphKeys,
  kInput,          // argument: which input
  kUniqueParents,  // argument: of which unique; see UniqueParents
};

struct ListId {
  List list;
  int argument = 0;
  int edges = 0;  // which list of edges
};
inline bool operator<(const ListId& a, const ListId& b) {
  return std::tie(a.list, a.argument, a.edges) < std::tie(b.list, b.argument, b.edges);
}

// A list of the schedule; null for any other. Those with an argument are made when they are first
// asked for.
const std::vector<int32_t>* list_of(const Program& program, const Schedule& schedule,
                                    const ListId& id);

// Where lists stand, in the memory of the host or of a device.
class Lists {
 public:
  virtual ~Lists() = default;
  virtual const int32_t* find(const ListId& id) const = 0;
};

// The lists of a schedule itself, which must outlive the object, as the program must.
class HostLists final : public Lists {
 public:
  HostLists(const Program& program, const Schedule& schedule)
      : program_(program), schedule_(schedule) {}
  const int32_t* find(const ListId& id) const override {
    return list_of(program_, schedule_, id)->data();
  }

 private:
  const Program& program_;
  const Schedule& schedule_;
};

// The arrays that tables are made of. Those of `uniques`, which are ordered by their numbers, and
// of `parents` stand in the same memory as the lists.
struct TableSources {
  const Program& program;
  const Lists& lists;
  const std::vector<UniqueTable>& uniques;
  const ParentTables& parents;
};

// `space`: the rows that the instruction runs over.
IndexTable resolve_table(const TableSpec& table, const Space& space, const TableSources& sources);

}  // namespace cavs
