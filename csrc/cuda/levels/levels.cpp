// Chooses the levels that go together, and launches them.
#include "cuda/levels/levels.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "cuda/code/library.h"
#include "cuda/kernels/levels_call.h"
#include "cuda/launches/products.h"
#include "cuda/launches/products_blas.h"
#include "cuda/launches/row_launches.h"
#include "cuda/levels/levels_source.h"
#include "cuda/sweep/prepared.h"
#include "runtime/places.h"

namespace cavs::cuda {
namespace {

constexpr size_t kReservedShared = 1024;  // bytes that the driver takes of a block's shared memory
constexpr int kSharedOfBlock = 97;        // CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN

std::atomic<bool>& persistent_setting() {
  static std::atomic<bool> setting = [] {
    const char* const word = std::getenv("CAVS_CUDA_PERSISTENT");
    return word == nullptr || std::string(word) != "0";
  }();
  return setting;
}

// What tells variants of a segment's kernel apart: where operands stand decides how wide they are
// read.
std::string variant_of(const std::vector<LevelsStep>& steps) {
  std::string variant;
  for (const LevelsStep& step : steps) {
    variant += step.group != nullptr ? std::to_string(step.columns) : step.function->name;
    variant += ';';
  }
  return variant;
}

StepTouches touches_of(const Executable& exe, const Layout& layout, const Instruction& instruction,
                       const LevelsStep& step) {
  StepTouches touches;
  touches.call = static_cast<int>(step.call);
  if (step.group != nullptr) {
    // The places of threads are the same for groups over the same rows, as wide.
    touches.kind = 1 + 2 * (step.group->width * 8 + step.columns) + (step.edges ? 1 : 0);
  }
  for (size_t i = 0; i < instruction.inputs.size(); ++i) {
    Touch touch = touch_of(exe, layout, instruction.inputs[i],
                           columns_read(exe.program, instruction, i), false);
    touch.by_element = step.group != nullptr && step.group->reads[i].read == Read::kRow &&
                       !step.group->reads[i].narrow;
    touches.touches.push_back(touch);
  }
  for (const int id : instruction.outputs) {
    Touch touch = touch_of(exe, layout, id, exe.forms[static_cast<size_t>(id)].size, true);
    touch.by_element = step.group != nullptr;
    touches.touches.push_back(touch);
  }
  return touches;
}

}  // namespace

bool persistent_levels() { return persistent_setting().load(std::memory_order_relaxed); }
void set_persistent_levels(bool persistent) { persistent_setting().store(persistent); }

LevelsCode::LevelsCode(const CudaProgram& program, const Layout& layout, bool flush_denormals,
                       const std::vector<BoundCall>& calls)
    : program_(program),
      exe_(program.exe()),
      layout_(layout),
      flush_denormals_(flush_denormals),
      calls_(calls) {}

OpenGpu& LevelsCode::open() const { return program_.open(); }

BoundCalls LevelsCode::blank_calls(size_t segment) const {
  std::vector<BoundCall> calls = program_.of_levels(calls_, segment);
  for (BoundCall& it : calls) it.call.rows = {0, 1};
  return {std::move(calls), Random(),
          [&](int id) {
            return Operand{nullptr, static_cast<int>(ld_of(exe_, layout_, id)),
                           static_cast<int>(exe_.forms[static_cast<size_t>(id)].size)};
          },
          [](const TableSpec&, const Space&) { return Table(); }};
}

std::vector<LevelsStep> LevelsCode::steps_without_addresses(size_t segment,
                                                            std::string* why_not) const {
  return steps_of(open(), blank_calls(segment).calls, true, why_not);
}

std::string LevelsCode::why_not(size_t segment) const {
  std::string why_not;
  steps_without_addresses(segment, &why_not);
  return why_not;
}

KernelSource LevelsCode::source(size_t segment) const {
  std::string why_not;
  const std::vector<LevelsStep> steps = steps_without_addresses(segment, &why_not);
  if (!why_not.empty())
    fail("[cuda] expected a segment for one kernel, got one where ", why_not,
         "; launch its levels");
  return source(segment, steps, order_of(segment, steps));
}

KernelSource LevelsCode::source(size_t segment, const std::vector<LevelsStep>& steps,
                                const LevelsOrder& order) const {
  return source_of(exe_.program.backward ? "backward_levels.cu" : "forward_levels.cu",
                   print_levels("levels_" + std::to_string(segment), steps, order),
                   exe_.program.dtype, flush_denormals_);
}

LevelsOrder LevelsCode::order_of(size_t segment, const std::vector<LevelsStep>& steps) const {
  std::vector<StepTouches> touches;
  for (const LevelsStep& step : steps) {
    const PreparedCall& call = program_.calls[program_.first_call(segment) + step.call];
    touches.push_back(touches_of(exe_, layout_, *call.instruction, step));
  }
  return order_levels(touches);
}

const LevelsCode::Compiled& LevelsCode::compiled(size_t segment,
                                                 const std::vector<LevelsStep>& steps) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  Compiled& found = compiled_[{segment, variant_of(steps)}];
  if (found.kernel) return found;
  found.order = order_of(segment, steps);
  found.module = open().cache.load(source(segment, steps, found.order), open().gpu);
  auto kernel = std::make_unique<Kernel>(found.module->kernel("levels_" + std::to_string(segment)));
  found.own_shared_bytes = kernel->own_shared_bytes();
  found.kernel = std::move(kernel);
  return found;
}

LevelsLaunches::LevelsLaunches(const LevelsCode& code, const Sweep& sweep, size_t segment,
                               std::vector<BoundCall> calls, const DeviceLists& lists,
                               const Stream& stream, Address gate)
    : code_(code),
      sweep_(sweep),
      segment_(segment),
      calls_(std::move(calls)),
      lists_(lists),
      stream_(stream),
      gate_(gate) {}

int64_t LevelsLaunches::launch(int64_t level) {
  if (!possible_) return 0;
  const int64_t count = count_narrow(sweep_.exe.program, segment_, calls_, sweep_.schedule, level);
  if (count < kFewestLevels) return 0;
  if (!prepared_) prepare(level, count);
  if (!possible_) return 0;
  Levels levels;
  levels.vertices = lists_.find({List::kLevelPtr});
  levels.edges = lists_.find({List::kLevelEdgePtr});
  levels.first = static_cast<int>(level);
  levels.count = static_cast<int>(count);
  levels.step = sweep_.exe.program.backward ? -1 : 1;
  levels.gate = reinterpret_cast<unsigned*>(gate_);
  compiled_->kernel->launch_together(stream_, shape_,
                                     Argument{arguments_.data(), arguments_.size()}, levels);
  return count;
}

// Once for all launches of the sweep; as many blocks as the first of them has work for.
void LevelsLaunches::prepare(int64_t level, int64_t count) {
  prepared_ = true;
  const int64_t step = sweep_.exe.program.backward ? -1 : 1;
  int64_t widest[2] = {0, 0};
  for (int64_t i = 0; i < count; ++i) {
    for (const bool edges : {false, true}) {
      widest[edges] =
          std::max(widest[edges], rows_of_level(sweep_.schedule, level + i * step, edges));
    }
  }
  for (BoundCall& it : calls_) {
    // Rows of some level, not none: kernels are chosen by them.
    const auto& ptr =
        it.prepared->edges ? sweep_.schedule.level_edge_ptr : sweep_.schedule.level_ptr;
    const int begin = ptr[static_cast<size_t>(level)];
    it.call.rows = {begin,
                    begin + static_cast<int>(std::max<int64_t>(1, widest[it.prepared->edges]))};
  }
  std::string why_not;
  steps_ = steps_of(code_.open(), calls_, false, &why_not);
  possible_ = why_not.empty();
  if (!possible_) return;
  compiled_ = &code_.compiled(segment_, steps_);
  unsigned blocks = 1;
  for (const LevelsStep& it : steps_) blocks = std::max(blocks, it.blocks);
  shape_.threads = kThreads;
  shape_.blocks = std::min(blocks, static_cast<unsigned>(code_.open().gpu.processors()));
  place_weights();
  possible_ = compiled_->kernel->resident_blocks(code_.open().gpu, kThreads, shape_.shared_bytes) >=
              shape_.blocks;
  for (const LevelsStep& it : steps_) {
    arguments_.insert(arguments_.end(), it.arguments.begin(), it.arguments.end());
  }
  stream_.clear(gate_, sizeof(unsigned));
}

// Numbers the stripes of each round, and finds room for their weights, the smaller rounds first.
void LevelsLaunches::place_weights() {
  const auto item = static_cast<size_t>(item_size(sweep_.exe.program.dtype));
  size_t room = static_cast<size_t>(code_.open().gpu.attribute(kSharedOfBlock));
  room -= std::min(room, static_cast<size_t>(compiled_->own_shared_bytes) + kReservedShared);
  struct Round {
    std::vector<std::pair<LevelsStep*, StripedProduct>> products;
    int stripes = 0, slice = 0;
  };
  std::vector<Round> rounds(static_cast<size_t>(compiled_->order.rounds));
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].function != &kStripedProduct) continue;
    Round& round = rounds[static_cast<size_t>(compiled_->order.round(i))];
    StripedProduct product;
    std::memcpy(&product, steps_[i].arguments.data(), sizeof(product));
    product.first = round.stripes;
    round.stripes += steps_[i].stripes;
    round.slice = std::max(round.slice, product.slice);
    round.products.emplace_back(&steps_[i], product);
  }
  const auto elements = [&](const Round& round) {
    const auto blocks = static_cast<int64_t>(shape_.blocks);
    return (round.stripes + blocks - 1) / blocks * round.slice;
  };
  std::sort(rounds.begin(), rounds.end(),
            [&](const Round& a, const Round& b) { return elements(a) < elements(b); });
  int64_t begin = 0;
  for (Round& round : rounds) {
    const int64_t end = begin + elements(round);
    const bool fits = static_cast<size_t>(end) * item <= room;
    for (auto& [step, product] : round.products) {
      product.all = round.stripes;
      product.slice = round.slice;
      product.kept = fits ? static_cast<int>(begin) : -1;
      std::memcpy(step->arguments.data(), &product, sizeof(product));
    }
    if (fits) begin = end;
  }
  shape_.shared_bytes = static_cast<unsigned>(static_cast<size_t>(begin) * item);
}

}  // namespace cavs::cuda
