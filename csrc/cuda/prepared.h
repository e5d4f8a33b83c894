// A program made ready for a GPU: its instructions' kernels, found or compiled.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "cuda/graphs.h"
#include "cuda/group_source.h"
#include "cuda/launch.h"
#include "cuda/levels.h"
#include "cuda/staged_lists.h"
#include "runtime/backend.h"

namespace cavs::cuda {

struct PreparedCall {
  const Instruction* instruction = nullptr;
  const DeviceKernel* kernel = nullptr;  // null for an elementwise group
  const std::vector<StateWrite>* state_writes = nullptr;
  bool edges = false;  // goes over edges
};

// The elementwise groups of a program in one layout, compiled: rows stand apart by the layout.
struct LayoutCode {
  struct Compiled {
    GroupKernel group;
    Kernel kernel;
  };
  std::unique_ptr<Module> module;               // null without groups
  std::vector<std::optional<Compiled>> groups;  // [call]
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

  // Lists that the program reads; with `keep` those too that backward programs of it read, of which
  // it knows the ones that were prepared so far.
  std::set<ListId> lists(bool keep) const;
  void expect(const std::set<ListId>& lists) const;

  std::vector<std::vector<PreparedCall>> segments;
  const uint64_t number;  // among all of the process
  bool random = false;    // draws random numbers
  mutable GraphCache graphs;

 private:
  std::vector<std::optional<GroupKernel>> print(const Layout& layout) const;

  OpenGpu& open_;
  const Executable& exe_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<const Layout*, bool>, std::unique_ptr<const LayoutCode>> code_;
  const std::set<ListId> own_lists_;
  mutable std::set<ListId> expected_lists_;
};

const CudaProgram& cuda_program(const Executable& exe);

}  // namespace cavs::cuda
