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
  // Those that come with a number are made as programs ask for them.
  virtual const int32_t* slot(int k) const = 0;
  virtual Parents parents(int slots) const = 0;

  const int32_t *vertex_order = nullptr, *edge_order = nullptr;
  const int32_t *child = nullptr, *parent = nullptr, *edge_slot = nullptr, *child_ptr = nullptr;
  const int32_t *out_ptr = nullptr, *out_edge = nullptr;
  const int32_t *graph = nullptr, *graph_ptr = nullptr, *graph_vertex = nullptr;
};

// Those of a schedule itself, which must outlive it.
class HostScheduleArrays final : public ScheduleArrays {
 public:
  explicit HostScheduleArrays(const Schedule& schedule);
  const int32_t* slot(int k) const override;
  Parents parents(int slots) const override;

 private:
  const Schedule& schedule_;
};

// All that tables are made of; `uniques` and `parents` by number of the unique, in the same memory
// as the arrays.
struct TableSources {
  const ScheduleArrays& schedule;
  const std::vector<UniqueTable>& uniques;
  const std::vector<UniqueParents>& parents;
};

IndexTable resolve_table(const TableSpec& table, const TableSources& sources);

}  // namespace cavs
