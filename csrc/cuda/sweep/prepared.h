// A program made ready for a GPU: its instructions' kernels, found or compiled.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "cuda/levels/levels.h"
#include "cuda/sweep/bound_calls.h"
#include "cuda/sweep/graphs.h"
#include "cuda/sweep/staged_lists.h"
#include "runtime/backend.h"

namespace cavs::cuda {

// A program in one layout, compiled: rows stand apart by the layout.
struct LayoutCode {
  std::unique_ptr<Module> module;  // null without elementwise groups
  std::deque<CompiledGroup> groups;
  std::vector<BoundCall> calls;  // of the program, bound to nothing
  std::unique_ptr<const LevelsCode> levels;
};

class CudaProgram final : public Prepared {
 public:
  CudaProgram(OpenGpu& open, const Executable& exe);

  // Compiled when it is first asked for; any number of threads may ask at once.
  const LayoutCode& code(const Layout& layout, bool flush_denormals) const;
  // The text of the groups in a layout, with all that NVRTC needs besides.
  KernelSource source(const Layout& layout, bool flush_denormals) const;

  OpenGpu& open() const { return open_; }
  const Executable& exe() const { return exe_; }

  // Lists that the program reads; with `keep` those too that backward programs of it read, of which
  // it knows the ones that were prepared so far.
  std::set<ListId> lists(bool keep) const;
  void expect(const std::set<ListId>& lists) const;

  // The numbers of a segment's calls, with the sums over its levels that follow it or without.
  size_t first_call(size_t segment) const { return first_calls_[segment]; }
  size_t last_call(size_t segment, bool with_sums = false) const {
    return first_calls_[segment + (with_sums && sums_follow(exe_.program, segment) ? 2 : 1)];
  }

  // Those of `calls`, which are of the whole program, that go level by level together.
  std::vector<BoundCall> of_levels(const std::vector<BoundCall>& calls, size_t segment) const {
    return std::vector<BoundCall>(calls.data() + first_call(segment),
                                  calls.data() + last_call(segment, true));
  }

  std::vector<PreparedCall> calls;
  const uint64_t number;  // among all of the process
  bool random = false;    // draws random numbers
  mutable GraphCache graphs;

 private:
  std::vector<std::optional<GroupKernel>> print(const Layout& layout) const;

  OpenGpu& open_;
  const Executable& exe_;
  std::vector<size_t> first_calls_;  // [segment], and how many calls there are
  mutable std::mutex mutex_;
  mutable std::map<std::pair<const Layout*, bool>, std::unique_ptr<const LayoutCode>> code_;
  const std::set<ListId> own_lists_;
  mutable std::set<ListId> expected_lists_;
};

const CudaProgram& cuda_program(const Executable& exe);

}  // namespace cavs::cuda
