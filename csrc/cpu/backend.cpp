// The CPU as a device of the runtime.
#include <memory>

#include "base/denormals.h"
#include "base/stopwatch.h"
#include "cpu/bind.h"
#include "cpu/kernel.h"
#include "cpu/prepared.h"
#include "cpu/step_arithmetic.h"
#include "cpu/weights.h"
#include "cpu/workspace.h"
#include "program/access.h"
#include "runtime/backend.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

// Whether two of the rows that a product through tables brings together fit into the scratch;
// others are multiplied one by one.
bool fits_into_scratch(const Program& program, const Instruction& instruction) {
  if (instruction.kernel != "matmul_masked" && instruction.kernel != "matmul_reduce_masked") {
    return true;
  }
  constexpr int64_t kLimit = kScratchBytes / 64;
  const bool through = instruction.tables[0].kind != TableKind::kNone ||
                       instruction.tables[1].kind != TableKind::kNone;
  const int64_t m = instruction.ints[2], k = instruction.ints[3], n = instruction.ints[4];
  if (!through) return true;
  const bool sums = is_reduction(instruction);
  const bool brought =
      sums || (m == 1 && program.values[instruction.inputs[1]].space.kind == SpaceKind::kNone);
  return !brought || ((sums ? m : k) <= kLimit && n <= kLimit);
}

// Whether the instruction may write over rows that it reads: a group that has room to put whole
// rows aside (see compiled_group.inl.h and elementwise.inl.h).
bool may_write_over_inputs(const Program& program, const Instruction& instruction) {
  if (instruction.kernel != "fused") return false;
  // Rows below this stand without padding, and a kernel may write a vector past the end of one.
  constexpr int64_t kShortestRow = 16, kOther = 16 * 1024;
  const int64_t width = instruction.ints[0], registers = instruction.ints[1];
  const auto slots = static_cast<int64_t>(instruction.inputs.size() + instruction.outputs.size() +
                                          instruction.floats.size()) +
                     registers;
  return width >= kShortestRow &&
         slots * align_up(width, kShortestRow) * item_size(program.dtype) + kOther <=
             kScratchBytes / 2;
}

void note_profile(const BoundPhase& bound, PhaseProfile* profile) {
  profile->threads.resize(bound.threads.size());
  profile->calls.resize(bound.prepared.calls.size());
  for (size_t t = 0; t < bound.threads.size(); ++t) {
    const ThreadProfile& from = bound.profile[t];
    PhaseProfile::Thread& thread = profile->threads[t];
    for (size_t i = 0; i < from.calls.size(); ++i) {
      CallProfile& sum = profile->calls[i];
      sum.calls += from.calls[i].calls;
      sum.rows += from.calls[i].rows;
      sum.ns += from.calls[i].ns;
      thread.kernels += from.calls[i].ns;
    }
    thread.packing = from.packing_ns;
    // Thread 0 does alone what is not shared; the others wait then.
    thread.waiting = (t == 0 ? from.shares_ns : profile->walk) - from.parts_ns;
    thread.walking = profile->walk - thread.waiting - thread.kernels - thread.packing;
  }
}

class CpuBackend final : public Backend {
 public:
  CpuBackend() : Backend(host_allocator()) {}

  bool supports(const Program& program, const Instruction& instruction) const override {
    return find_kernel(program.dtype, instruction.kernel) != nullptr &&
           fits_into_scratch(program, instruction);
  }

  // A thread takes its rows through a whole segment, chunk by chunk.
  Steps steps() const override { return Steps::kSegments; }
  bool keeps_confined_values() const override { return true; }

  bool writes_over_inputs(const Program& program, const Instruction& instruction) const override {
    return may_write_over_inputs(program, instruction);
  }

  std::shared_ptr<const Prepared> prepare(const Executable& exe) const override {
    return prepare_for_cpu(exe);
  }

  std::unique_ptr<const Workspace> workspace(const Executable& exe, bool keep,
                                             const RowCounts& counts, const Schedule& schedule,
                                             int threads) const override {
    return plan_workspace(exe, keep, counts, schedule, threads);
  }

  int64_t bytes_kept(const Executable& exe, const RowCounts& counts) const override {
    int64_t bytes = 0;
    for (const WeightUse& use : cpu_program(exe).weights.uses) {
      if (!worth_packing(use, counts)) continue;
      bytes += packed_weight_bytes(exe.program.dtype, use.k, use.n);
    }
    return bytes;
  }

  void run(const Phase& phase) override {
    const DenormalScope scope(phase.exe.program.dtype);
    PhaseProfile* const profile = phase.profile;
    Stopwatch watch;
    BoundPhase bound(phase);
    if (profile != nullptr) profile->bind += watch.lap();
    walk(bound);
    if (profile != nullptr) profile->walk = watch.lap();
    for (size_t w = 0; w < bound.weights.size(); ++w) {
      PackedWeight& packed = bound.weights[w];
      if (packed.fresh) {
        bound.prepared.packed->keep(w, packed.version, std::move(packed.panels));
      }
    }
    if (profile != nullptr) note_profile(bound, profile);
  }

  void synchronize() override {}  // calls return when they are done

  const StepArithmetic<float>& step_arithmetic(float) const override {
    return cpu_step_arithmetic<float>();
  }
  const StepArithmetic<double>& step_arithmetic(double) const override {
    return cpu_step_arithmetic<double>();
  }
};

}  // namespace

Backend* cpu_backend() {
  static auto* const backend =
      new CpuBackend;  // never destroyed: runs may end after static objects
  return backend;
}

}  // namespace cavs
