// Launches of the kernels that draw random numbers.
#include <algorithm>
#include <cstdint>

#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

constexpr double kNumbers = 0x1p24;  // how many different ones are drawn

Draw draw_of(const DeviceCall& call, uint32_t key) {
  Draw draw;
  draw.out = call.out[0];
  if (!call.instruction->inputs.empty()) draw.in = call.in[0];
  draw.state = call.random->state;
  draw.op = key;
  draw.rows = call.rows;
  return draw;
}

void set_rows(Draw* draw, const Random& random, const UniformAttributes& of) {
  if (of.rows == SampledRows::kBatch) return;
  draw->graph_key = random.graph_key;
  if (of.rows == SampledRows::kGraph) return;
  const bool vertices = of.rows == SampledRows::kVertex;
  if (!vertices && random.edges == nullptr) return;  // of calls that are bound to nothing
  const RandomRows& rows = vertices ? random.vertices : random.edges[of.edges];
  draw->graph = rows.graph;
  draw->local = rows.local;
}

// As DropoutRule of cpu/kernels/random.inl.h: number k of 2^24 keeps its element from `least` on.
void set_rate(Draw* draw, double rate) {
  draw->scale = rate < 1 ? 1 / (1 - rate) : 0;
  const double bound = rate * kNumbers;
  const auto floor = static_cast<int32_t>(bound);
  draw->least = floor + (bound > floor ? 1 : 0);
}

bool in_fours(const Operand& operand, int64_t item) {
  return reinterpret_cast<uintptr_t>(operand.data) % 16 == 0 && operand.ld * item % 16 == 0 &&
         operand.size % 4 == 0;
}

void launch_draw(Library& library, const Stream& stream, const char* name, Draw draw) {
  const int64_t item = item_size(library.dtype());
  draw.in_fours =
      in_fours(draw.out, item) && (draw.in.data == nullptr || in_fours(draw.in, item)) ? 1 : 0;
  draw.tiling = tiling_of((draw.out.size + 3) / 4);
  launch(library, stream, "random", name, blocks_for(library, draw.rows, draw.tiling), draw);
}

void uniform(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& attributes = attributes_of<UniformAttributes>(call);
  Draw draw = draw_of(call, attributes.key);
  set_rows(&draw, *call.random, attributes);
  launch_draw(library, stream, "uniform", draw);
}

void dropout(Library& library, const Stream& stream, const DeviceCall& call) {
  if (call.random->training == 0) return copy_rows(library, stream, call);
  const auto& attributes = attributes_of<DropoutAttributes>(call);
  Draw draw = draw_of(call, attributes.key);
  set_rows(&draw, *call.random, attributes);
  set_rate(&draw, attributes.rate);
  launch_draw(library, stream, "dropout", draw);
}

int ids_of(const Instruction& instruction) {
  return static_cast<int>(instruction.inputs.size()) - 1;
}

// Two words of a key for each row, where one launch does not take all ids.
size_t bytes_of_keys(const Program&, const Instruction& instruction, int rows) {
  return ids_of(instruction) > kIds ? static_cast<size_t>(rows) * 2 * sizeof(unsigned) : 0;
}

void dropout_by_id(Library& library, const Stream& stream, const DeviceCall& call) {
  if (call.random->training == 0) return copy_rows(library, stream, call);
  const auto& attributes = attributes_of<DropoutAttributes>(call);
  Draw draw = draw_of(call, attributes.key);
  set_rate(&draw, attributes.rate);
  const int count = ids_of(*call.instruction);
  auto* const keys = reinterpret_cast<unsigned*>(call.scratch);
  for (int first = 0; first < count; first += kIds) {
    draw.num_ids = std::min(kIds, count - first);
    std::copy_n(call.in + 1 + first, draw.num_ids, draw.ids);
    if (first + kIds >= count) break;
    draw.keys = keys;
    draw.tiling = tiling_of(1);
    launch(library, stream, "random", "fold_ids", blocks_for(library, draw.rows, draw.tiling),
           draw);
    draw.begun = keys;
  }
  launch_draw(library, stream, "dropout_by_id", draw);
}

}  // namespace

void note_random_state(Library& library, const Stream& stream, Address to,
                       const RandomState& state) {
  launch(library, stream, "random", "note_state", 1,
         NoteState{reinterpret_cast<RandomState*>(to), state});
}

const std::vector<DeviceKernel>& random_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"dropout", dropout},
      {"dropout_by_id", dropout_by_id, bytes_of_keys},
      {"uniform", uniform},
  };
  return *table;
}

}  // namespace cavs::cuda
