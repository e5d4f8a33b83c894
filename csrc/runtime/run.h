// One forward call over one batch, and at most one backward call after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/phase.h"

namespace cavs {

struct ProfileRecord {
  bool backward = false;
  int segment = 0;
  int instruction = 0;
  std::string kernel;
  CallProfile sum;  // over all chunks and levels of thread 0
};

class Run {
 public:
  // The schedule must outlive the run. With `keep`, what backward needs stays in memory. Throws
  // Error(kShape) where there is not one key per graph.
  Run(std::shared_ptr<const Executable> exe, const Schedule& schedule,
      std::vector<int64_t> graph_keys, const RandomContext& random, bool keep);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // The arrays of forward must stay alive until backward is done. Both throw Error(kRuntime) where
  // they are called out of order, and what kernels throw.
  void forward(const ArrayLists& arrays, int num_threads);
  void backward(std::shared_ptr<const Executable> exe, const ArrayLists& arrays, int num_threads);

  // Rows that a value of this space has. That of a unique is known after forward.
  int64_t rows(const Space& space) const;
  int64_t peak_bytes() const { return peak_bytes_; }
  const Executable& executable() const { return *exe_; }

  void set_profile(bool enabled) { profile_ = enabled; }
  bool profile() const { return profile_; }
  const std::vector<ProfileRecord>& profile_records() const { return records_; }

 private:
  enum class State { kNew, kForwardDone, kFinished };

  void build_uniques(const ArrayLists& arrays);
  void place_uniques();
  void execute(const Executable& exe, const Layout& layout, const PhasePlan& plan,
               const ArrayLists& arrays);
  void finish();

  std::shared_ptr<const Executable> exe_;
  const Schedule& schedule_;
  const std::vector<int64_t> graph_keys_;
  RandomContext random_;
  const bool keep_;
  State state_ = State::kNew;
  RowCounts counts_;
  std::vector<UniqueTable> uniques_;
  ArrayLists forward_arrays_;
  PhasePlan forward_plan_;
  std::unique_ptr<Arena> arena_;
  int64_t peak_bytes_ = 0;
  bool profile_ = false;
  std::vector<ProfileRecord> records_;
};

// The peak_bytes of a run of the program over a batch whose uniques have so many rows, without
// running it. `backward` may be null.
int64_t plan_bytes(const Executable& exe, const Executable* backward, const Schedule& schedule,
                   const std::vector<int64_t>& unique_rows, bool keep, int num_threads);

}  // namespace cavs
