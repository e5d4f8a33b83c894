// Puts a whole step on the stream, and keeps what the host may ask later.
#include "cuda/step/later_step.h"

#include <cstddef>
#include <utility>

#include "cuda/step/step_launches.h"

namespace cavs::cuda {
namespace {

class Outcome final : public StepOutcome {
 public:
  explicit Outcome(OpenGpu& open) : open_(open), piece_(open.outcomes.take(sizeof(StepState))) {}
  ~Outcome() override { open_.outcomes.give(std::move(piece_)); }

  StepState* state() const { return reinterpret_cast<StepState*>(piece_->block->data()); }
  const Event& done() const { return *piece_->done; }

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
  std::unique_ptr<PinnedRing::Piece> piece_;
};

// Sums stay on the device, and what depends on them is decided there.
template <class T>
class CudaLaterStep final : public LaterStep<T> {
 public:
  CudaLaterStep(OpenGpu& open, Allocator& allocator)
      : open_(open),
        allocator_(allocator),
        memory_(std::make_shared<Block>(allocator, sizeof(StepMemory))),
        loss_(std::make_shared<Block>(allocator, sizeof(T))) {
    const StepLaunches<T> to(open_);
    to.library.kernel("arrays", "begin_step").launch(to.stream, {1, 32, 0}, memory());
  }

  void take_loss(const Elements<T>& x, double scale) override {
    const StepLaunches<T> to(open_);
    to.sum({x}, false, Total::kLoss, scale, memory());
    to.library.kernel("arrays", "write_loss")
        .launch(to.stream, {1, 32, 0}, memory(), loss_->data());
  }
  std::shared_ptr<Block> loss() const override { return loss_; }

  void merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                  T* rows) override {
    const auto bytes = static_cast<int64_t>((a.count + 1) * sizeof(int32_t));
    scratch_.push_back(std::make_shared<Block>(allocator_, bytes));
    StepLaunches<T>(open_).merge_rows(a, b, width, ids, rows,
                                      reinterpret_cast<int32_t*>(scratch_.back()->data()));
  }

  void clip(const std::vector<Elements<T>>& gradients, double clip_norm) override {
    const StepLaunches<T> to(open_);
    to.sum(gradients, true, Total::kNorm, clip_norm, memory());
    to.scale(gradients, 1, &memory()->state.factor, go_on());
  }
  void update(const OptimizerSettings& settings,
              const std::vector<DenseUpdate<T>>& updates) override {
    StepLaunches<T>(open_).update(settings, updates, go_on());
  }
  void update_rows(const OptimizerSettings& settings, const DenseUpdate<T>& update,
                   const int32_t* ids, int64_t count, int64_t width) override {
    StepLaunches<T>(open_).update_rows(settings, update, ids, count, width, go_on());
  }

  std::shared_ptr<StepOutcome> outcome() override {
    const CurrentGpu current(open_.ordinal);
    const Stream& stream = current_stream(open_);
    auto outcome = std::make_shared<Outcome>(open_);
    stream.copy_to_host(outcome->state(), reinterpret_cast<Address>(&memory()->state),
                        sizeof(StepState));
    stream.record(outcome->done());
    return outcome;
  }

 private:
  // Addresses of the device: not to be read here.
  StepMemory* memory() const { return reinterpret_cast<StepMemory*>(memory_->data()); }
  const int* go_on() const { return &memory()->state.finite; }

  OpenGpu& open_;
  Allocator& allocator_;
  std::shared_ptr<Block> memory_, loss_;
  std::vector<std::shared_ptr<Block>> scratch_;
};

}  // namespace

template <class T>
std::unique_ptr<LaterStep<T>> begin_later_step(OpenGpu& open, Allocator& allocator) {
  return std::make_unique<CudaLaterStep<T>>(open, allocator);
}

template std::unique_ptr<LaterStep<float>> begin_later_step(OpenGpu&, Allocator&);
template std::unique_ptr<LaterStep<double>> begin_later_step(OpenGpu&, Allocator&);

}  // namespace cavs::cuda
