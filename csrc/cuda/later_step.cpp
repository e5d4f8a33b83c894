// Puts a whole step on the stream, and keeps what the host may ask later.
#include "cuda/later_step.h"

#include <map>
#include <mutex>
#include <type_traits>
#include <utility>

#include "base/denormals.h"
#include "cuda/current_stream.h"
#include "cuda/library.h"
#include "cuda/step_arithmetic.h"

namespace cavs::cuda {
namespace {

// Where the device writes what became of a step. Kept for later steps, because pinned memory is
// slow to get.
struct Slot {
  PinnedBlock state{sizeof(StepState)};
  Event done;
};

class Slots {
 public:
  std::unique_ptr<Slot> take() {
    const std::lock_guard<std::mutex> guard(mutex_);
    // Nobody may have asked yet what became of the step.
    if (slots_.empty() || !slots_.back()->done.is_done()) return std::make_unique<Slot>();
    std::unique_ptr<Slot> slot = std::move(slots_.back());
    slots_.pop_back();
    return slot;
  }
  void give(std::unique_ptr<Slot> slot) {
    const std::lock_guard<std::mutex> guard(mutex_);
    slots_.push_back(std::move(slot));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

// Of a GPU; never destroyed: steps may end with the process.
Slots& slots_of(int ordinal) {
  static auto* const mutex = new std::mutex;
  static auto* const slots = new std::map<int, Slots*>;
  const std::lock_guard<std::mutex> guard(*mutex);
  Slots*& found = (*slots)[ordinal];
  if (found == nullptr) found = new Slots;
  return *found;
}

class Outcome final : public StepOutcome {
 public:
  explicit Outcome(OpenGpu& open) : open_(open), slot_(slots_of(open.ordinal).take()) {}
  ~Outcome() override { slots_of(open_.ordinal).give(std::move(slot_)); }

  StepState* state() const { return reinterpret_cast<StepState*>(slot_->state.data()); }
  const Event& done() const { return slot_->done; }

  bool is_known() const override {
    const CurrentGpu current(open_.ordinal);
    return done().is_done();
  }
  double loss() const override { return wait().loss; }
  double norm() const override { return wait().norm; }

 private:
  const StepState& wait() const {
    const CurrentGpu current(open_.ordinal);
    if (!done().is_done()) done().synchronize();
    return *state();
  }

  OpenGpu& open_;
  std::unique_ptr<Slot> slot_;
};

template <class T>
class CudaLaterStep final : public LaterStep<T> {
 public:
  CudaLaterStep(OpenGpu& open, Allocator& allocator)
      : open_(open),
        allocator_(allocator),
        memory_(std::make_shared<Block>(allocator, DeviceStep<T>::kBytes)),
        loss_(std::make_shared<Block>(allocator, sizeof(T))),
        step_(open, address(*memory_)) {
    step_.begin();
  }

  void take_loss(const Elements<T>& x, double scale) override {
    const CurrentGpu current(open_.ordinal);
    step_.take_loss(x, scale);
    const DType dtype = std::is_same_v<T, double> ? DType::kFloat64 : DType::kFloat32;
    library_of(open_, dtype, dtype == DType::kFloat32 && flush_denormals())
        .kernel("later_step", "write_loss")
        .launch(current_stream(open_), {1, 32, 0}, address(*memory_), address(*loss_));
  }
  std::shared_ptr<Block> loss() const override { return loss_; }

  void merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                  T* rows) override {
    const auto bytes = static_cast<int64_t>((a.count + 1) * sizeof(int32_t));
    scratch_.push_back(std::make_shared<Block>(allocator_, bytes));
    arithmetic_.merge_rows_later(a, b, width, ids, rows,
                                 reinterpret_cast<int32_t*>(scratch_.back()->data()));
  }

  void clip(const std::vector<Elements<T>>& gradients, double clip_norm) override {
    step_.take_norm(gradients, clip_norm);
    step_.clip(gradients);
  }
  void update(const OptimizerSettings& settings,
              const std::vector<DenseUpdate<T>>& updates) override {
    step_.update(settings, updates);
  }
  void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                   const int32_t* ids, int64_t count, int64_t width) override {
    step_.update_rows(settings, update, ids, count, width);
  }

  std::shared_ptr<StepOutcome> outcome() override {
    const CurrentGpu current(open_.ordinal);
    const Stream& stream = current_stream(open_);
    auto outcome = std::make_shared<Outcome>(open_);
    step_.read(outcome->state());
    stream.record(outcome->done());
    return outcome;
  }

 private:
  static Address address(const Block& block) { return reinterpret_cast<Address>(block.data()); }

  OpenGpu& open_;
  Allocator& allocator_;
  std::shared_ptr<Block> memory_, loss_;
  std::vector<std::shared_ptr<Block>> scratch_;
  const DeviceStep<T> step_;
  const CudaStepArithmetic<T> arithmetic_{open_};
};

}  // namespace

template <class T>
std::unique_ptr<LaterStep<T>> begin_later_step(OpenGpu& open, Allocator& allocator) {
  return std::make_unique<CudaLaterStep<T>>(open, allocator);
}

template std::unique_ptr<LaterStep<float>> begin_later_step(OpenGpu&, Allocator&);
template std::unique_ptr<LaterStep<double>> begin_later_step(OpenGpu&, Allocator&);

}  // namespace cavs::cuda
