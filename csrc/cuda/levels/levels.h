// Levels of few rows, many of them in one launch: a kernel that stays on the GPU, keeps the weights
// of its products there, and waits for itself between rounds (see levels_source.h).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda/levels/levels_choice.h"
#include "cuda/levels/levels_order.h"
#include "cuda/levels/levels_steps.h"
#include "cuda/sweep/staged_lists.h"
#include "runtime/backend.h"

namespace cavs::cuda {

// Whether levels go together in launches where that pays; else each instruction of a level is a
// launch. As CAVS_CUDA_PERSISTENT says at first (0 or 1), else true. The numbers are the same.
bool persistent_levels();
void set_persistent_levels(bool persistent);

class CudaProgram;

// The kernels of a program's levels segments in one layout. Each is compiled when it is first
// launched.
class LevelsCode {
 public:
  struct Compiled {
    LevelsOrder order;
    std::unique_ptr<Module> module;
    std::unique_ptr<Kernel> kernel;
    int own_shared_bytes = 0;
  };

  // All must outlive it. `calls`: of the program, bound to nothing.
  LevelsCode(const CudaProgram& program, const Layout& layout, bool flush_denormals,
             const std::vector<BoundCall>& calls);

  OpenGpu& open() const;

  // Why the segment always goes by launches of its instructions; empty where it does not.
  std::string why_not(size_t segment) const;
  // The calls of a segment and of the sums that follow, without addresses.
  BoundCalls blank_calls(size_t segment) const;
  // The text of the segment's kernel where operands stand as well as can be.
  KernelSource source(size_t segment) const;

  const Compiled& compiled(size_t segment, const std::vector<LevelsStep>& steps) const;

 private:
  std::vector<LevelsStep> steps_without_addresses(size_t segment, std::string* why_not) const;
  LevelsOrder order_of(size_t segment, const std::vector<LevelsStep>& steps) const;
  KernelSource source(size_t segment, const std::vector<LevelsStep>& steps,
                      const LevelsOrder& order) const;

  const CudaProgram& program_;
  const Executable& exe_;
  const Layout& layout_;
  const bool flush_denormals_;
  const std::vector<BoundCall>& calls_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<size_t, std::string>, Compiled> compiled_;  // by the variant
};

// One levels segment of a sweep.
class LevelsLaunches {
 public:
  // `calls`: of the segment's instructions and of the sums that follow; their rows do not matter.
  // `gate`: of four bytes that no other work uses.
  LevelsLaunches(const LevelsCode& code, const Sweep& sweep, size_t segment,
                 std::vector<BoundCall> calls, const DeviceLists& lists, const Stream& stream,
                 Address gate);

  // Puts levels on the stream in one launch, from `level` on in the program's direction. Returns
  // how many; 0 where launches of their instructions are better.
  int64_t launch(int64_t level);

 private:
  void prepare(int64_t level, int64_t count);
  void place_weights();

  const LevelsCode& code_;
  const Sweep& sweep_;
  const size_t segment_;
  std::vector<BoundCall> calls_;
  const DeviceLists& lists_;
  const Stream& stream_;
  const Address gate_;
  bool prepared_ = false, possible_ = true;
  std::vector<LevelsStep> steps_;
  const LevelsCode::Compiled* compiled_ = nullptr;
  std::vector<std::byte> arguments_;
  Shape shape_;
};

}  // namespace cavs::cuda
