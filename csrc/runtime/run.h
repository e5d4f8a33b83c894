// One forward call over one batch, and the backward calls after it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graph/schedule.h"
#include "memory/arena.h"
#include "runtime/arrays.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/profile.h"
#include "runtime/states.h"
#include "runtime/unique.h"

namespace cavs {

// Throws Error(kValue) for a number of threads that no run takes.
void check_threads(int num_threads);

class Run {
 public:
  // The schedule must outlive the run. With `keep`, values that backward needs stay in memory.
  // Throws Error(kShape) where there is not one key per graph.
  Run(std::shared_ptr<const Executable> exe, const Schedule& schedule,
      std::vector<int64_t> graph_keys, const RandomContext& random, bool keep);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // The arrays of forward must stay alive until the last backward is done. Both throw
  // Error(kRuntime) where they are called out of order, and pass on exceptions of kernels. Backward
  // writes over what forward kept, and no other can follow. With `retain` it writes elsewhere:
  // another can follow, also after an exception.
  void forward(const ArrayLists& arrays, int num_threads);
  void backward(std::shared_ptr<const Executable> exe, const ArrayLists& arrays, int num_threads,
                bool retain = false);

  // The distinct ids that a backward program gives as this output, in memory of the host. Throws
  // Error(kValue) where the output holds none.
  const int32_t* distinct_ids(const Executable& backward, int output) const;

  // Number of rows of a value of this space of the run's program, or of a backward program of it.
  // For a unique it is known after forward.
  int64_t rows(const Program& program, const Space& space) const;
  int64_t rows(const Space& space) const { return rows(exe_->program, space); }
  int64_t peak_bytes() const { return peak_bytes_; }
  const Executable& executable() const { return *exe_; }

  // Whether forward looks for NaN in states as they are written. To be set before forward.
  void set_check_states(bool enabled) { check_states_ = enabled; }
  // The first NaN, if there is one: the state's number in Program::states, and the user's vertex.
  std::optional<std::pair<int, int64_t>> nan_state() const;

  void set_profile(bool enabled) { profile_ = enabled; }
  bool profile() const { return profile_; }
  const std::vector<ProfileRecord>& profile_records() const { return records_; }
  const std::vector<SweepProfile>& profile_sweeps() const { return sweeps_; }

 private:
  enum class State { kNew, kForwardDone, kFinished };

  void build_uniques(const ArrayLists& arrays);
  GivenIds ids_of(const UniqueSpec& unique, size_t input, const ArrayLists& arrays) const;
  const int32_t* order_of(const Space& rows, int members) const;
  void count_ids(size_t number, const std::vector<GivenIds>& ids);
  void find_in_tuples(size_t number, const std::vector<GivenIds>& ids);
  // The start of the arena; where the host does not reach the arena, of a block of the host.
  std::byte* unique_memory();
  void place_uniques();
  void list_parents(const Executable& exe, const SweepPlan& plan);
  void execute(const Executable& exe, bool keep, const Layout& layout, const SweepPlan& plan,
               const RowCounts& counts, const ArrayLists& arrays, SweepProfile profile);
  void note_profile(const Program& program, SweepProfile profile);
  void finish();

  std::shared_ptr<const Executable> exe_;
  const Schedule& schedule_;
  const std::vector<int64_t> graph_keys_;
  RandomContext random_;
  const bool keep_;
  State state_ = State::kNew;
  RowCounts counts_;
  std::vector<UniqueTable> uniques_;
  ParentTables parents_;  // of the sweep at hand
  ArrayLists forward_arrays_;
  SweepPlan forward_plan_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<Block> own_uniques_;  // see unique_memory
  int64_t peak_bytes_ = 0;
  bool check_states_ = false;
  FirstNan first_nan_;
  bool profile_ = false;
  std::vector<ProfileRecord> records_;
  std::vector<SweepProfile> sweeps_;
};

}  // namespace cavs
