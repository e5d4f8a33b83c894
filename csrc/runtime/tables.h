// The tables that instructions go through, as addresses of a batch's arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"
#include "program/program.h"
#include "runtime/index_table.h"
#include "runtime/unique.h"

namespace cavs {

// The lists of integers that a program reads of a batch. Those of the schedule have the meaning
// that they have there.
enum class List : uint8_t {
  kVertexOrder,
  kEdgeOrder,
  kChild,
  kParent,
  kEdgeSlot,
  kChildPtr,
  kOutPtr,
  kOutEdge,
  kGraph,
  kGraphPtr,
  kGraphVertex,
  kLocal,
  kLevelPtr,
  kLevelEdgePtr,
  kEdgeGraph,
  kEdgeLocal,
  kSlot,         // argument: of which child
  kParentsPtr,   // argument: by how many slots
  kParentsRow,   //   the same
  kParentsSlot,  //   the same
  // A device has these among the others.
  kGraphKeys,
  kInput,          // argument: which input
  kUniqueParents,  // argument: of which unique; see UniqueParents
};

// A list of the schedule; null for any other. Those with an argument are made when they are first
// asked for.
const std::vector<int32_t>* list_of(const Schedule& schedule, List list, int argument);

// Where lists stand, in the memory of the host or of a device.
class Lists {
 public:
  virtual ~Lists() = default;
  virtual const int32_t* find(List list, int argument = 0) const = 0;
};

// The lists of a schedule itself, which must outlive the object.
class HostLists final : public Lists {
 public:
  explicit HostLists(const Schedule& schedule) : schedule_(schedule) {}
  const int32_t* find(List list, int argument = 0) const override {
    return list_of(schedule_, list, argument)->data();
  }

 private:
  const Schedule& schedule_;
};

// The arrays that tables are made of. `uniques` and `parents` are ordered by the number of the
// unique, and stand in the same memory as the lists.
struct TableSources {
  const Lists& lists;
  const std::vector<UniqueTable>& uniques;
  const std::vector<UniqueParents>& parents;
};

IndexTable resolve_table(const TableSpec& table, const TableSources& sources);

}  // namespace cavs
