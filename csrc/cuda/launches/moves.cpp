// Launches of the kernels that move rows.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

// Bytes of the widest words in which everything of these places and distances moves.
int word_bytes(int item, std::initializer_list<const void*> addresses,
               std::initializer_list<int> elements) {
  uint64_t bits = 0;
  for (const void* address : addresses) bits |= reinterpret_cast<uintptr_t>(address);
  for (const int count : elements) bits |= static_cast<uint64_t>(int64_t{count} * item);
  return bits % 16 == 0 ? 16 : item;
}

void in_words(Operand* operand, int elements) {
  operand->ld /= elements;
  operand->size /= elements;
}

// The kernels of the words of 4, 8 and 16 bytes.
using Names = const char* [3];
constexpr Names kMove = {"move_4", "move_8", "move_16"};
constexpr Names kSlotsToEdges = {"slots_to_edges_4", "slots_to_edges_8", "slots_to_edges_16"};

template <class Call>
void launch_words(Library& library, const Stream& stream, const Names& names, int bytes,
                  Call& call) {
  call.tiling = tiling_of(call.tiling.columns);
  const char* const kernel = names[bytes == 4 ? 0 : bytes == 8 ? 1 : 2];
  launch(library, stream, "moves", kernel, blocks_for(library, call.rows, call.tiling), call);
}

// Lines of `width` elements of `item` bytes, `lines` of them.
void launch_move(Library& library, const Stream& stream, Move move, int item, int lines) {
  const bool one = lines == 1;
  const int bytes = word_bytes(
      item, {move.in.data, move.out.data},
      {move.in.ld, move.out.ld, move.width, one ? 0 : move.in_step, one ? 0 : move.out_step});
  const int elements = bytes / item;
  in_words(&move.in, elements);
  in_words(&move.out, elements);
  move.width /= elements;
  move.in_step /= elements;
  move.out_step /= elements;
  move.tiling.columns = move.width * lines;
  launch_words(library, stream, kMove, bytes, move);
}

Move move_of(const DeviceCall& call) {
  Move move;
  if (!call.instruction->inputs.empty()) move.in = call.in[0];
  move.out = call.out[0];
  move.width = move.out.size;
  move.rows = call.rows;
  return move;
}

int item_of(const Library& library) { return static_cast<int>(item_size(library.dtype())); }

// The words of a number that stands in every place.
void set_beyond(Move* move, DType dtype, double value) {
  if (dtype == DType::kFloat64) {
    std::memcpy(move->beyond, &value, sizeof(value));
  } else {
    const auto single = static_cast<float>(value);
    std::memcpy(&move->beyond[0], &single, sizeof(single));
    std::memcpy(&move->beyond[1], &single, sizeof(single));
  }
}

void take_rows(Library& library, const Stream& stream, const DeviceCall& call, int item) {
  Move move = move_of(call);
  move.from = call.tables[0].index;
  launch_move(library, stream, move, item, 1);
}

void take(Library& library, const Stream& stream, const DeviceCall& call) {
  take_rows(library, stream, call, item_of(library));
}

void load(Library& library, const Stream& stream, const DeviceCall& call) {
  const bool integers = attributes_of<LoadAttributes>(call).integers;
  take_rows(library, stream, call, integers ? 4 : item_of(library));
}

void store(Library& library, const Stream& stream, const DeviceCall& call) {
  Move move = move_of(call);
  move.to = call.tables[0].index;
  launch_move(library, stream, move, item_of(library), 1);
}

void copy_columns(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<ColumnsAttributes>(call);
  const int item = item_of(library);
  Move move = move_of(call);
  move.from = call.tables[0].index;
  move.in.data = static_cast<char*>(move.in.data) + it.source_column * item;
  move.out.data = static_cast<char*>(move.out.data) + it.target_column * item;
  move.width = static_cast<int>(it.width);
  move.in_step = static_cast<int>(it.source_step);
  move.out_step = static_cast<int>(it.target_step);
  launch_move(library, stream, move, item, static_cast<int>(it.lines));
}

// An id without a row gives NaN, as on the CPU.
void embedding(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<EmbeddingAttributes>(call);
  Move move = move_of(call);
  move.in.ld = move.width = static_cast<int>(it.width);
  move.from = static_cast<const int*>(call.in[1].data);
  move.from_step = call.in[1].ld;
  move.count = static_cast<int>(std::min<int64_t>(it.count, move.count));
  set_beyond(&move, library.dtype(), __builtin_nan(""));
  launch_move(library, stream, move, item_of(library), 1);
}

void fill(Library& library, const Stream& stream, const DeviceCall& call) {
  Move move = move_of(call);
  move.count = 0;
  set_beyond(&move, library.dtype(), attributes_of<FillAttributes>(call).value);
  launch_move(library, stream, move, item_of(library), 1);
}

void unique_ids(Library& library, const Stream& stream, const DeviceCall& call) {
  Move move = move_of(call);
  move.in.data = const_cast<int*>(call.tables[0].index);
  move.in.ld = move.in.size = move.width = 1;
  launch_move(library, stream, move, 4, 1);
}

// A launch for each kSlots inputs; the last one also writes what no input gives.
void slots_to_edges(Library& library, const Stream& stream, const DeviceCall& call) {
  const int inputs = static_cast<int>(call.instruction->inputs.size());
  const int item = item_of(library);
  for (int first = 0; first < inputs; first += kSlots) {
    Slots slots;
    slots.index = call.tables[0].index;
    slots.slot = call.tables[0].list;
    slots.first = first;
    slots.count = std::min(kSlots, inputs - first);
    slots.rest = first + kSlots >= inputs ? 1 : 0;
    slots.out = call.out[0];
    slots.rows = call.rows;
    int bytes = word_bytes(item, {slots.out.data}, {slots.out.ld, slots.out.size});
    for (int i = 0; i < slots.count; ++i) {
      slots.in[i] = call.in[first + i];
      bytes = std::min(bytes, word_bytes(item, {slots.in[i].data}, {slots.in[i].ld}));
    }
    for (int i = 0; i < slots.count; ++i) in_words(&slots.in[i], bytes / item);
    in_words(&slots.out, bytes / item);
    slots.tiling.columns = slots.out.size;
    launch_words(library, stream, kSlotsToEdges, bytes, slots);
  }
}

}  // namespace

void copy_rows(Library& library, const Stream& stream, const DeviceCall& call) {
  launch_move(library, stream, move_of(call), item_of(library), 1);
}

const std::vector<DeviceKernel>& move_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"copy", copy_rows},
      {"copy_columns", copy_columns},
      {"embedding", embedding},
      {"fill", fill},
      {"load", load},
      {"slots_to_edges", slots_to_edges},
      {"store", store},
      {"take", take},
      {"unique_ids", unique_ids},
  };
  return *table;
}

}  // namespace cavs::cuda
