// Finds the weights of a program, and keeps their panels between runs.
#include "cpu/weights.h"

#include <algorithm>
#include <utility>

#include "cpu/convolution/table.h"
#include "program/kernels.h"

namespace cavs {
namespace {

// Where sums are short, writing them is all the work (product_of_short_sums).
constexpr int64_t kShortestSum = 16;

// How much longer a call takes that has no panels, in units of the time to pack the weight:
// measured for weights of 7,500 to 2,560,000 elements. To read a large weight takes most of a
// call's time, whatever its layout.
double excess_of_call(const WeightUse& use, int64_t rows) {
  constexpr int64_t large = 1 << 20;
  const bool in_memory = use.k * use.n >= large;
  if (use.transposed) {
    if (rows < 16) return in_memory ? 0.36 : 0.95;
    return in_memory ? 0.08 : 0.32;
  }
  if (rows < 4) return 0.13;
  return in_memory ? 0.27 : 0.35;
}

bool is_weight(const Program& program, int id) { return program.values[id].role == Role::kParam; }

bool has_rows(const Program& program, int id) {
  return program.values[id].space.kind != SpaceKind::kNone;
}

// The parameter that a value is all of, or -1.
int whole_parameter(const Program& program, int id) {
  const ValueSpec* value = &program.values[static_cast<size_t>(id)];
  while (value->role == Role::kView) {
    const ValueSpec& base = program.values[static_cast<size_t>(value->base)];
    if (base.size != value->size) return -1;
    id = value->base;
    value = &base;
  }
  return value->role == Role::kParam ? id : -1;
}

bool has_panels(const Program& program, const Instruction& instruction) {
  if (!std::holds_alternative<ConvolutionAttributes>(instruction.attributes)) return false;
  return kind_of_convolution(instruction.kernel) != ConvolutionKind::kWeight &&
         has_rows(program, instruction.inputs[0]) &&
         whole_parameter(program, instruction.inputs[1]) >= 0;
}

}  // namespace

int weight_operand(const Program& program, const Instruction& instruction) {
  if (has_panels(program, instruction)) return 1;
  const MatmulAttributes* product = product_of(instruction);
  if (product == nullptr || sums_rows(instruction) || product->k < kShortestSum) return -1;
  const int a = instruction.inputs[0], b = instruction.inputs[1];
  const bool lines = !product->ta || product->m == 1;  // each line of `a` stands together
  if (lines && is_weight(program, b) && has_rows(program, a)) return 1;
  if (product->n == 1 && is_weight(program, a) && has_rows(program, b)) return 0;
  return -1;
}

WeightUses find_weights(const Program& program) {
  WeightUses found;
  for (const Segment& segment : program.segments) {
    found.of.emplace_back();
    for (const Instruction& instruction : segment.instructions) {
      const int operand = weight_operand(program, instruction);
      found.of.back().push_back(-1);
      if (operand < 0) continue;
      const int segment_number = static_cast<int>(found.of.size()) - 1;
      if (product_of(instruction) == nullptr) {
        WeightUse use;
        use.value = whole_parameter(program, instruction.inputs[1]);
        use.convolution = &instruction;
        use.products.push_back({segment_number, instruction.space});
        found.of.back().back() = static_cast<int>(found.uses.size());
        found.uses.push_back(std::move(use));
        continue;
      }
      // With the weight first, C = op(A) b is the row C^T = b^T op(A)^T.
      const MatmulAttributes& product = *product_of(instruction);
      WeightUse use;
      use.value = instruction.inputs[static_cast<size_t>(operand)];
      use.transposed = operand == 1 ? product.tb : !product.ta;
      use.k = product.k;
      use.n = operand == 1 ? product.n : product.m;
      const auto same = [&](const WeightUse& other) {
        return other.convolution == nullptr && other.value == use.value &&
               other.transposed == use.transposed && other.k == use.k && other.n == use.n;
      };
      auto known = std::find_if(found.uses.begin(), found.uses.end(), same);
      if (known == found.uses.end()) known = found.uses.insert(known, use);
      known->products.push_back({segment_number, instruction.space});
      found.of.back().back() = static_cast<int>(known - found.uses.begin());
    }
  }
  return found;
}

int64_t bytes_of_panels(DType dtype, const WeightUse& use) {
  if (use.convolution == nullptr) return packed_weight_bytes(dtype, use.k, use.n);
  const auto& attributes = std::get<ConvolutionAttributes>(use.convolution->attributes);
  const ConvolutionKind kind = kind_of_convolution(use.convolution->kernel);
  return std::max<int64_t>(1, convolution_functions(dtype).bytes(attributes, kind).panels);
}

void pack_use(DType dtype, const WeightUse& use, const void* weight, void* packed, void* scratch,
              int thread, int num_threads) {
  if (use.convolution == nullptr) {
    return pack_weight(dtype, use.transposed, use.k, use.n, weight, packed, thread, num_threads);
  }
  if (thread > 0) return;
  convolution_functions(dtype).pack(std::get<ConvolutionAttributes>(use.convolution->attributes),
                                    kind_of_convolution(use.convolution->kernel), weight, packed,
                                    scratch);
}

bool is_used(const WeightUse& use, const RowCounts& counts) {
  return std::any_of(
      use.products.begin(), use.products.end(),
      [&](const WeightUse::Product& product) { return counts.used(product.space) > 0; });
}

bool worth_packing(const WeightUse& use, const Program& program, const RowCounts& counts,
                   const Schedule& schedule, const std::vector<const ChunkPlan*>& chunks) {
  double excess = 0;
  // A call of a convolution without panels makes some of its own.
  const auto excess_of = [&](int64_t rows_of_call) {
    return use.convolution != nullptr ? 0.6 : excess_of_call(use, rows_of_call);
  };
  for (const WeightUse::Product& product : use.products) {
    const int64_t rows = counts.used(product.space);
    if (rows == 0) continue;
    const auto segment = static_cast<size_t>(product.segment);
    const bool levels = by_levels(program.segments[segment].kind);
    const int64_t chunk = chunks[segment]->rows;
    const int64_t calls =
        std::max((rows + chunk - 1) / chunk, levels ? std::min(rows, schedule.num_batches()) : 1);
    excess += static_cast<double>(calls) * excess_of(rows / calls);
  }
  return excess >= 1;
}

WeightStore::WeightStore(size_t count) : entries_(count), spares_(std::make_shared<Spares>()) {
  spares_->blocks.resize(count);
}

std::shared_ptr<Block> WeightStore::find(size_t w, int64_t version) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return version >= 0 && entries_[w].version == version ? entries_[w].panels : nullptr;
}

std::shared_ptr<Block> WeightStore::take(size_t w, int64_t bytes) {
  {
    Entry last;  // freed after the lock is released
    const std::lock_guard<std::mutex> lock(mutex_);
    std::swap(last, entries_[w]);
  }
  std::unique_ptr<Block> block;
  {
    const std::lock_guard<std::mutex> lock(spares_->mutex);
    block = std::move(spares_->blocks[w]);
  }
  if (!block) block = std::make_unique<Block>(host_allocator(), bytes);
  return {block.release(), [w, spares = spares_](Block* read) {
            std::unique_ptr<Block> spare(read);
            const std::lock_guard<std::mutex> lock(spares->mutex);
            std::swap(spares->blocks[w], spare);
          }};
}

void WeightStore::keep(size_t w, int64_t version, std::shared_ptr<Block> panels) {
  Entry entry{std::move(panels), version};  // then the old entry, freed after the lock is released
  const std::lock_guard<std::mutex> lock(mutex_);
  std::swap(entry, entries_[w]);
}

}  // namespace cavs
