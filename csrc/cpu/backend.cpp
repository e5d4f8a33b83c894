// The CPU as a device of the runtime.
#include <memory>

#include "base/denormals.h"
#include "base/everlasting.h"
#include "base/stopwatch.h"
#include "cpu/bind.h"
#include "cpu/groups/group_program.h"
#include "cpu/kernel.h"
#include "cpu/prepared.h"
#include "cpu/step_arithmetic.h"
#include "cpu/weights.h"
#include "cpu/workspace.h"
#include "program/kernels.h"
#include "runtime/backend.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

// Some products through tables bring rows together in the scratch. Returns whether two of these
// rows fit; other products can do without scratch, because they multiply rows one by one.
bool fits_into_scratch(const Program& program, const Instruction& instruction) {
  const auto* product = std::get_if<MaskedMatmulAttributes>(&instruction.attributes);
  if (product == nullptr) return true;
  constexpr int64_t kLimit = kScratchBytes / 64;
  const bool through = instruction.tables[0].kind != TableKind::kNone ||
                       instruction.tables[1].kind != TableKind::kNone;
  if (!through) return true;
  const bool sums = sums_rows(instruction);
  const bool brought =
      sums ||
      (product->m == 1 && program.values[instruction.inputs[1]].space.kind == SpaceKind::kNone);
  return !brought || ((sums ? product->m : product->k) <= kLimit && product->n <= kLimit);
}

void note_profile(const BoundSweep& bound, SweepProfile* profile) {
  profile->threads.resize(bound.threads.size());
  profile->calls.resize(bound.prepared.calls.size());
  for (size_t t = 0; t < bound.threads.size(); ++t) {
    const ThreadProfile& from = bound.profile[t];
    SweepProfile::Thread& thread = profile->threads[t];
    for (size_t i = 0; i < from.calls.size(); ++i) {
      profile->calls[i].add(from.calls[i]);
      thread.kernels += from.calls[i].ns;
    }
    profile->events.insert(profile->events.end(), from.events.begin(), from.events.end());
    profile->events_left_out += from.events_left_out;
    thread.packing = from.packing_ns;
    // Thread 0 alone does the work that is not shared; the other threads wait meanwhile.
    thread.waiting = (t == 0 ? from.shares_ns : profile->walk) - from.parts_ns;
    thread.walking = profile->walk - thread.waiting - thread.kernels - thread.packing;
  }
}

class CpuBackend final : public Backend {
 public:
  CpuBackend() : Backend(host_allocator()) {}

  bool supports(const Program& program, const Instruction& instruction) const override {
    return find_kernel(program.dtype, instruction.kernel->name) != nullptr &&
           fits_into_scratch(program, instruction);
  }

  // A thread takes its rows through a whole segment, chunk by chunk.
  Steps steps() const override { return Steps::kSegments; }
  bool keeps_confined_values() const override { return true; }

  Overwrites overwrites(const Program& program, const Instruction& instruction) const override {
    const Group* group = group_of(instruction);
    const bool writes = group != nullptr && writes_over_inputs(*group, program.dtype);
    return writes ? Overwrites::kRows : Overwrites::kNothing;
  }

  std::shared_ptr<const Prepared> prepare(const Executable& exe) const override {
    return prepare_for_cpu(exe);
  }

  std::unique_ptr<const Workspace> workspace(const Executable& exe, bool keep,
                                             const RowCounts& counts, const Schedule& schedule,
                                             const Staged&, int threads) const override {
    return plan_workspace(exe, keep, counts, schedule, threads);
  }

  int64_t bytes_kept(const Executable& exe, bool keep, const RowCounts& counts,
                     const Schedule& schedule, const Workspace& workspace) const override {
    const auto& chunks = static_cast<const CpuWorkspace&>(workspace).chunks;
    const bool inference = !exe.program.backward && !keep;
    int64_t bytes = 0;
    for (const WeightUse& use : cpu_program(exe).weights.uses) {
      const bool packed = inference ? is_used(use, counts)
                                    : worth_packing(use, exe.program, counts, schedule, chunks);
      if (!packed) continue;
      bytes += bytes_of_panels(exe.program.dtype, use);
    }
    return bytes;
  }

  void run(const Sweep& sweep) override {
    const DenormalScope scope(sweep.exe.program.dtype);
    SweepProfile* const profile = sweep.profile;
    Stopwatch watch;
    BoundSweep bound(sweep);
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

Backend* cpu_backend() { return &everlasting<CpuBackend>(); }

}  // namespace cavs
