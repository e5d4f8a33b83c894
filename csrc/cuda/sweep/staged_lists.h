// The lists of integers that a program reads on the device: arrays of the schedule, integer inputs,
// the keys of graphs. They go to the device together.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "cuda/driver/driver.h"
#include "program/program.h"
#include "runtime/backend.h"
#include "runtime/row_counts.h"
#include "runtime/tables.h"

namespace cavs::cuda {

// The lists that a program's instructions read.
std::set<ListId> lists_read(const Program& program);

// Lists with their places in a block.
class StagedLists final : public Staged {
 public:
  // For sweeps of this program, or of backward programs of it.
  StagedLists(const std::set<ListId>& lists, const Executable& exe, const RowCounts& counts,
              const Schedule& schedule);

  const std::map<ListId, int64_t>& offsets() const { return offsets_; }
  // A block that holds the run's tables and lists in place of the arena; null where the arena does.
  // Set by the forward sweep, before any other reads it.
  void stand_in(std::shared_ptr<Block> block) const { block_ = std::move(block); }
  const std::shared_ptr<Block>& block() const { return block_; }
  // Writes the lists to a block of the host at their offsets. Inputs are those of the sweep's
  // program itself.
  void write(const Sweep& sweep, std::byte* block) const;

 private:
  std::map<ListId, int64_t> offsets_;
  mutable std::shared_ptr<Block> block_;
};

// The addresses of lists on the device.
class DeviceLists final : public Lists {
 public:
  // Lists of `staged` that stand from `address` on.
  void add(const StagedLists& staged, Address address);

  // Null where it was not staged.
  const int32_t* find(const ListId& id) const override;
  // The lists of parents that the sweep's program reads.
  ParentTables unique_parents(const Sweep& sweep) const;

 private:
  std::map<ListId, Address> addresses_;
};

}  // namespace cavs::cuda
