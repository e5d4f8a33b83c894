// The GPUs as devices of the runtime.
#include "runtime/backend.h"

#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "base/denormals.h"
#include "base/everlasting.h"
#include "cuda/driver/allocator.h"
#include "cuda/driver/current_stream.h"
#include "cuda/driver/pinned_ring.h"
#include "cuda/kernels/row_calls.h"
#include "cuda/step/later_step.h"
#include "cuda/step/step_arithmetic.h"
#include "cuda/sweep/batch_copies.h"
#include "cuda/sweep/prepared.h"
#include "cuda/sweep/walk.h"
#include "cuda/sweep/workspace.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"

namespace cavs {
namespace cuda {
namespace {

class CudaBackend final : public Backend {
 public:
  CudaBackend(OpenGpu& open, GpuAllocator& allocator) : Backend(allocator), open_(open) {}

  bool supports(const Program& program, const Instruction& instruction) const override {
    const auto* convolution = std::get_if<ConvolutionAttributes>(&instruction.attributes);
    CAVS_CHECK(convolution == nullptr || convolution->taps.empty() ||
                   convolution->all_taps() <= kMaskedTaps,
               ErrorKind::kValue, "[cuda] expected a mask of at most ", kMaskedTaps,
               " taps, got one of ", convolution->kernel[0], " x ", convolution->kernel[1],
               "; run the model on the CPU, or multiply the weight by the mask");
    return program.dtype != DType::kInt32 &&
           (group_of(instruction) != nullptr ||
            find_device_kernel(instruction.kernel->name) != nullptr);
  }
  Steps steps() const override { return Steps::kInstructions; }
  bool keeps_confined_values() const override { return false; }

  // A thread reads the elements of its columns, then writes them.
  Overwrites overwrites(const Program&, const Instruction& instruction) const override {
    return group_of(instruction) != nullptr ? Overwrites::kElements : Overwrites::kNothing;
  }

  std::shared_ptr<const Staged> stage(const Executable& exe, bool keep, const RowCounts& counts,
                                      const Schedule& schedule) const override {
    return std::make_shared<StagedLists>(cuda_program(exe).lists(keep), exe, counts, schedule);
  }

  std::shared_ptr<const Prepared> prepare(const Executable& exe) const override {
    return std::make_shared<CudaProgram>(open_, exe);
  }

  std::unique_ptr<const Workspace> workspace(const Executable& exe, bool, const RowCounts& counts,
                                             const Schedule& schedule, const Staged& staged,
                                             int) const override {
    return std::make_unique<CudaWorkspace>(exe, counts, schedule, staged);
  }
  int64_t bytes_kept(const Executable&, bool, const RowCounts&, const Schedule&,
                     const Workspace&) const override {
    return 0;
  }

  void run(const Sweep& sweep) override {
    const CurrentGpu current(open_.ordinal);
    const bool flush = sweep.exe.program.dtype == DType::kFloat32 && flush_denormals();
    cuda_program(sweep.exe).code(sweep.layout, flush);  // compiled while others run
    const std::lock_guard<std::recursive_mutex> guard(run_mutex_);
    const Stream& stream = current_stream(open_);
    follow_last(stream);
    upload(sweep, stream);
    const DeviceLists lists = lists_of(sweep);
    const auto uniques = uniques_of(sweep);
    const auto parents = lists.unique_parents(sweep);
    walk(sweep, stream, flush, lists, {sweep.exe.program, lists, uniques, parents});
    note_stream(stream);
  }

  void synchronize() override {
    const CurrentGpu current(open_.ordinal);
    current_stream(open_).synchronize();
  }

  const StepArithmetic<float>& step_arithmetic(float) const override { return single_; }
  const StepArithmetic<double>& step_arithmetic(double) const override { return twice_; }

  std::unique_ptr<LaterStep<float>> later_step(float) const override {
    const CurrentGpu current(open_.ordinal);
    return begin_later_step<float>(open_, allocator());
  }
  std::unique_ptr<LaterStep<double>> later_step(double) const override {
    const CurrentGpu current(open_.ordinal);
    return begin_later_step<double>(open_, allocator());
  }

 private:
  static Address at(const Sweep& sweep, int64_t offset) {
    return reinterpret_cast<Address>(sweep.memory + offset);
  }
  static const Program& first_program(const Sweep& sweep) {
    return (sweep.exe.forward ? *sweep.exe.forward : sweep.exe).program;
  }

  // Forward brings the tables of distinct ids and what is staged, which stand one after the other;
  // backward what forward did not stage because the backward program was not known yet.
  void upload(const Sweep& sweep, const Stream& stream) {
    const SweepPlan& plan = sweep.plan;
    const auto& workspace = static_cast<const CudaWorkspace&>(*plan.workspace);
    if (!sweep.exe.forward) {
      const StagedLists& staged = staged_of(sweep);
      const int64_t tables = plan.staged_offset, bytes = tables + staged.bytes;
      const auto bring = [&](Address to) {
        pinned_.upload(stream, to, bytes, [&](std::byte* block) {
          // The tables stand in one block of the host.
          if (tables > 0) std::memcpy(block, sweep.uniques[0].index, static_cast<size_t>(tables));
          staged.write(sweep, block + tables);
        });
      };
      staged.stand_in(find_copy(sweep, staged, bytes, stream, [&](const Block& block) {
        bring(reinterpret_cast<Address>(block.data()));
      }));
      if (!staged.block()) bring(tables_at(sweep));
    }
    pinned_.upload(stream, at(sweep, plan.workspace_offset), workspace.late.bytes,
                   [&](std::byte* block) { workspace.late.write(sweep, block); });
  }

  static const StagedLists& staged_of(const Sweep& sweep) {
    return static_cast<const StagedLists&>(*sweep.plan.staged);
  }

  std::shared_ptr<Block> find_copy(const Sweep& sweep, const StagedLists& staged, int64_t bytes,
                                   const Stream& stream, const BatchCopies::Fill& fill) {
    if (bytes == 0) return nullptr;
    std::set<ListId> lists;
    for (const auto& [id, offset] : staged.offsets()) lists.insert(id);
    auto& copies = static_cast<BatchCopies&>(sweep.schedule.mirror(
        device(),
        []() -> std::unique_ptr<Schedule::Mirror> { return std::make_unique<BatchCopies>(); }));
    return copies.find(cuda_program(sweep.exe).number, lists, sweep.random.graph_key,
                       sweep.counts.graphs, sweep.own.inputs, allocator(), bytes, stream, fill);
  }

  // Where the run's tables of distinct ids stand, and what is staged behind them.
  static Address tables_at(const Sweep& sweep) {
    const std::shared_ptr<Block>& block = staged_of(sweep).block();
    return block ? reinterpret_cast<Address>(block->data()) : at(sweep, 0);
  }

  static DeviceLists lists_of(const Sweep& sweep) {
    DeviceLists lists;
    const auto& workspace = static_cast<const CudaWorkspace&>(*sweep.plan.workspace);
    lists.add(staged_of(sweep), tables_at(sweep) + static_cast<Address>(sweep.plan.staged_offset));
    lists.add(workspace.late, at(sweep, sweep.plan.workspace_offset));
    return lists;
  }

  // The tables as they stand on the device.
  static std::vector<UniqueTable> uniques_of(const Sweep& sweep) {
    std::vector<UniqueTable> tables;
    auto* to = reinterpret_cast<std::byte*>(tables_at(sweep));
    for (size_t u = 0; u < sweep.uniques.size(); ++u) {
      const int64_t base = unique_base_rows(first_program(sweep), sweep.counts, u);
      tables.push_back(unique_table_at(to, base, sweep.uniques[u].rows));
      to += unique_table_bytes(base);
    }
    return tables;
  }

  // Memory of one run serves the next, so that runs on different streams come one after the other.
  void follow_last(const Stream& stream) {
    if (last_ && !same_stream(last_stream_, stream.handle())) stream.wait(*last_);
  }
  void note_stream(const Stream& stream) {
    // A run within this one, on another stream, may have come between: the next one follows both.
    follow_last(stream);
    if (!last_) last_ = std::make_unique<Event>();
    stream.record(*last_);
    last_stream_ = stream.handle();
  }

  OpenGpu& open_;
  PinnedRing pinned_;
  // One run after the other goes to the streams: they share handles of cuBLAS with their
  // workspaces, and the streams beside. Recursive, for a signal handler that runs a model within a
  // run.
  std::recursive_mutex run_mutex_;
  std::unique_ptr<Event> last_;  // the end of the last run
  StreamHandle last_stream_ = nullptr;
  const CudaStepArithmetic<float> single_{open_};
  const CudaStepArithmetic<double> twice_{open_};
};

struct Opened {
  std::mutex mutex;
  std::map<int, Backend*> backends;
};

// Of the current device: what allocators keep, and arenas that no run uses.
void spare() {
  const ContextHandle here = current_context();
  for (Backend* const backend : open_cuda_backends()) {
    const CurrentGpu current(backend->device().ordinal);
    if (current->gpu.context() != here) continue;
    backend->arenas().clear();
    backend->allocator().trim();
  }
}

}  // namespace
}  // namespace cuda

Backend& cuda_backend(int ordinal) {
  const cuda::CurrentGpu open(ordinal);
  auto& opened = everlasting<cuda::Opened>();
  const std::lock_guard<std::mutex> guard(opened.mutex);
  Backend*& found = opened.backends[ordinal];
  if (found == nullptr) found = new cuda::CudaBackend(*open, *new cuda::GpuAllocator(*open));
  cuda::set_sparing(&cuda::spare);
  return *found;
}

int cuda_ordinal_of(const void* data) {
  constexpr int kDeviceOrdinal = 9;  // CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
  if (cuda::gpu_count() == 1) return 0;
  int ordinal = -1;
  cuda::check(cuda::driver().cuPointerGetAttribute(&ordinal, kDeviceOrdinal,
                                                   reinterpret_cast<cuda::Address>(data)),
              "memory of a GPU");
  return ordinal;
}

std::vector<Backend*> open_cuda_backends() {
  auto& opened = everlasting<cuda::Opened>();
  const std::lock_guard<std::mutex> guard(opened.mutex);
  std::vector<Backend*> found;
  for (const auto& [ordinal, backend] : opened.backends) found.push_back(backend);
  return found;
}

}  // namespace cavs
