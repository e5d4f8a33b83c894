// The tables that instructions go through, as addresses of a batch's arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/schedule.h"
#include "program/program.h"
#include "runtime/index_table.h"
#include "runtime/unique.h"

namespace cavs {

// Where the arrays of a schedule stand, in the memory of the host or of a device; their meaning is
// that of Schedule.
class ScheduleArrays {
 public:
  virtual ~ScheduleArrays() = default;

  struct Parents {
    const int32_t* ptr = nullptr;
    const int32_t* row = nullptr;
    const int32_t* slot = nullptr;
  };
  // Arrays that depend on a number are made when a program asks for them.
  virtual const int32_t* slot(int k) const = 0;
  virtual Parents parents(int slots) const = 0;

  const int32_t *vertex_order = nullptr, *edge_order = nullptr;
  const int32_t *child = nullptr, *parent = nullptr, *edge_slot = nullptr, *child_ptr = nullptr;
  const int32_t *out_ptr = nullptr, *out_edge = nullptr;
  const int32_t *graph = nullptr, *graph_ptr = nullptr, *graph_vertex = nullptr;
};

// The arrays of a schedule itself. The schedule must outlive the object.
class HostScheduleArrays final : public ScheduleArrays {
 public:
  explicit HostScheduleArrays(const Schedule& schedule);
  const int32_t* slot(int k) const override;
  Parents parents(int slots) const override;

 private:
  const Schedule& schedule_;
};

// The arrays that tables are made of. `uniques` and `parents` are ordered by the number of the
// unique, and stand in the same memory as the schedule's arrays.
struct TableSources {
  const ScheduleArrays& schedule;
  const std::vector<UniqueTable>& uniques;
  const std::vector<UniqueParents>& parents;
};

IndexTable resolve_table(const TableSpec& table, const TableSources& sources);

}  // namespace cavs
