// "fused": an elementwise group. This is the interpreter, for groups without machine code (see
// compiled_group.inl.h); it goes tile by tile. A tile is a few rows, small enough that
// all its registers stay in the L1 cache, and large enough that choosing an operation costs little
// against doing it.
#pragma once

#include "cpu/groups/compiled_group.inl.h"
#include "cpu/isa_table.h"
#include "cpu/kernels/double_math.inl.h"
#include "cpu/kernels/rows.inl.h"
#include "group/scalar_functions.h"

namespace cavs {
namespace {

// Registers of a tile together stay in the L1 cache beside the rows that are read and written; a
// register is long enough that choosing an operation costs little against doing it.
constexpr int64_t kTileBytes = 24 * 1024;
constexpr int64_t kShortestRegister = 2 * 1024;  // bytes
constexpr int64_t kLongestRegister = 8 * 1024;
constexpr int64_t kBlock = 16;  // rows are padded to this, and operations take steps of this size
constexpr int64_t kCacheLine = 64;

// Where an operand of an operation stands during one tile: `ld` elements from row to row.
template <class T>
struct Strided {
  T* data;
  int64_t ld;
};

// An operation on one run of n elements, n a multiple of kBlock.
template <class T>
using OpFunction = void (*)(T* dst, const T* a, const T* b, const T* c, int64_t n);

#define CAVS_DEFINE_OP(name, arity, expression)                                                   \
  template <class T>                                                                              \
  void op_##name(T* dst, const T* pa, [[maybe_unused]] const T* pb, [[maybe_unused]] const T* pc, \
                 int64_t n) {                                                                     \
    using V = Vec<T>;                                                                             \
    for (int64_t block = 0; block < n; block += kBlock) {                                         \
      for (int64_t i = block; i < block + kBlock; i += kLanes<T>) {                               \
        const V a = load_vector(pa + i);                                                          \
        const V b = arity > 1 ? load_vector(pb + i) : V{};                                        \
        const V c = arity > 2 ? load_vector(pc + i) : V{};                                        \
        store_vector<T>(dst + i, scalar_##name(a, b, c));                                         \
      }                                                                                           \
    }                                                                                             \
  }
CAVS_SCALAR_OPS(CAVS_DEFINE_OP)
#undef CAVS_DEFINE_OP

#define CAVS_LIST_OP(name, arity, expression) &op_##name<T>,
template <class T>
constexpr OpFunction<T> kOps[] = {CAVS_SCALAR_OPS(CAVS_LIST_OP)};
#undef CAVS_LIST_OP

CAVS_INLINE void far_sines(FarLanes* lanes, int64_t count, int quarter) {
  for (int64_t i = 0; i < count; i += kLanes<float>) {
    const VecF x = load_vector(lanes->x + i), near = load_vector(lanes->near + i);
    store_vector(lanes->near + i, sine_where_far(abs_(x) > kFarAngle, x, near, quarter));
  }
}

// How an input gets into a tile.
enum class Way : uint8_t {
  kDirect,  // read where it stands
  kStaged,  // put into a buffer for each tile: gathered or summed rows, one column that broadcasts
  kFixed,   // copied once for all tiles: it has no rows
};

struct InputPlan {
  Way way;
  bool readable_past_end;  // whole vectors of the last row may be read
};

struct OutputPlan {
  int64_t reg;
  bool direct;  // the register is the output's own memory
};

template <class T>
class FusedGroup {
 public:
  FusedGroup(const KernelCall& call, const GroupProgram& group)
      : call_(call), group_(group), width_(group.width) {
    choose_tile();
    carve_scratch();
  }

  void run() {
    if (width_ == 0 || call_.row_begin >= call_.row_end) return;
    plan_inputs();
    plan_outputs();
    for (int64_t r = call_.row_begin; r < call_.row_end; r += tile_rows_) {
      rows_ = least(tile_rows_, call_.row_end - r);
      for (int64_t column = 0; column < width_; column += chunk_) {
        run_tile(r, column, least(chunk_, width_ - column));
      }
    }
  }

 private:
  // Small rows that stand without padding are one long run; larger ones keep a padded pitch.
  void choose_tile() {
    const int64_t num_operands = call_.num_in + group_.num_registers + group_.num_constants;
    const int64_t overhead = 4096 + num_operands * (sizeof(Strided<T>) + sizeof(InputPlan)) +
                             call_.num_out * static_cast<int64_t>(sizeof(OutputPlan));
    int64_t bytes = kLongestRegister;
    while (bytes > kShortestRegister && num_operands * bytes > kTileBytes) bytes /= 2;
    if (writes_over_inputs()) bytes = greatest(bytes, round_up(width_, kBlock) * kItemBytes);
    while (bytes > 0 && num_operands * bytes + overhead > kScratchBytes) bytes /= 2;
    const int64_t tile = bytes / static_cast<int64_t>(sizeof(T));
    if (tile < 2 * kBlock) fail_fused("fewer registers and constants", num_operands);
    run_mode_ = width_ < kBlock;
    const int64_t rows = call_.row_end - call_.row_begin;
    if (run_mode_) {
      pitch_ = greatest(width_, 1);
      chunk_ = pitch_;
      // A multiple of 16 rows ends where a vector ends, so that only the last tile has a remainder.
      tile_rows_ = least(greatest(tile / pitch_ / kBlock, 1) * kBlock, rows);
      if (tile_rows_ * pitch_ > tile) tile_rows_ = tile / pitch_;
    } else {
      pitch_ = least(round_up(width_, kBlock), tile);
      chunk_ = pitch_;
      tile_rows_ = least(tile / pitch_, rows);
    }
    buffer_size_ = round_up(greatest(tile_rows_, 1) * pitch_, kBlock);
  }

  // If it does, a tile has whole rows, and its results are put aside until these rows have been
  // read.
  bool writes_over_inputs() const {
    if (call_.row_begin >= call_.row_end) return false;
    for (int j = 0; j < call_.num_out; ++j) {
      for (int i = 0; i < call_.num_in; ++i) {
        if (!reads_table(i) && rows_overlap<T>(call_, call_.out[j], call_.in[i], width_))
          return true;
      }
    }
    return false;
  }

  void carve_scratch() {
    char* at = static_cast<char*>(call_.scratch);
    const auto take = [&at](int64_t bytes) {
      char* start = at;
      at += round_up(bytes, kCacheLine);
      return start;
    };
    const int64_t num_operands = call_.num_in + group_.num_registers + group_.num_constants;
    operands_ = reinterpret_cast<Strided<T>*>(
        take(num_operands * static_cast<int64_t>(sizeof(Strided<T>))));
    inputs_ =
        reinterpret_cast<InputPlan*>(take(call_.num_in * static_cast<int64_t>(sizeof(InputPlan))));
    outputs_ = reinterpret_cast<OutputPlan*>(
        take(call_.num_out * static_cast<int64_t>(sizeof(OutputPlan))));
    buffers_ = reinterpret_cast<T*>(take(0));
    for (int64_t i = 0; i < num_operands; ++i) operands_[i] = {buffer(i), pitch_};
  }

  static constexpr int64_t kItemBytes = sizeof(T);

  bool reads_table(int i) const {
    return group_.inputs[i].read == Read::kIndexed || group_.inputs[i].read == Read::kListSum;
  }

  T* buffer(int64_t reg) { return buffers_ + reg * buffer_size_; }

  void plan_inputs() {
    for (int i = 0; i < call_.num_in; ++i) {
      const Operand& in = call_.in[i];
      InputPlan& plan = inputs_[i];
      plan.readable_past_end = run_mode_ ? false : in.padded || width_ % kBlock == 0;
      const bool narrow = group_.inputs[i].narrow;
      if (group_.inputs[i].read == Read::kShared && (narrow || chunk_ >= width_)) {
        plan.way = Way::kFixed;
        const int64_t step = narrow ? 0 : 1;
        const T* source = static_cast<const T*>(in.data);
        for (int64_t r = 0; r < greatest(tile_rows_, 1); ++r)
          stage_row(buffer(i) + r * pitch_, source, step, chunk_);
      } else if (narrow || reads_table(i) || (run_mode_ && in.ld != pitch_)) {
        plan.way = Way::kStaged;
      } else {
        plan.way = Way::kDirect;
      }
    }
    const int64_t first_constant = call_.num_in + group_.num_registers;
    for (int64_t j = 0; j < group_.num_constants; ++j) {
      fill_row(buffer(first_constant + j), static_cast<T>(group_.constants[j]), buffer_size_);
    }
  }

  void plan_outputs() {
    for (int j = 0; j < call_.num_out; ++j) {
      const Operand& out = call_.out[j];
      OutputPlan& plan = outputs_[j];
      plan.reg = call_.num_in + group_.outputs[j];
      plan.direct =
          out.ld != 0 && (run_mode_ ? out.ld == pitch_ : out.padded || width_ % kBlock == 0);
      for (int k = 0; k < j; ++k) plan.direct = plan.direct && outputs_[k].reg != plan.reg;
      for (int i = 0; i < call_.num_in; ++i)
        plan.direct = plan.direct && !(inputs_[i].way == Way::kDirect &&
                                       rows_overlap<T>(call_, out, call_.in[i], pitch_));
    }
  }

  void stage_row(T* target, const T* source, int64_t step, int64_t n) const {
    if (source == nullptr) {
      fill_row(target, T(0), n);
    } else if (step == 0) {
      fill_row(target, *source, n);
    } else {
      copy_row(target, source, least(n, width_));
    }
  }

  void bind_input(int i, int64_t r, int64_t column, int64_t n) {
    const Operand& in = call_.in[i];
    const InputPlan& plan = inputs_[i];
    if (plan.way == Way::kFixed) return;
    if (plan.way == Way::kDirect) {
      const bool whole = run_mode_
                             ? (rows_ * pitch_) % kBlock == 0
                             : plan.readable_past_end || (in.ld != 0 && r + rows_ < call_.row_end);
      if (whole || (!run_mode_ && n == chunk_ && chunk_ < width_)) {
        operands_[i] = {row_of<T>(in, r) + column, in.ld};
        return;
      }
    }
    const int64_t step = group_.inputs[i].narrow ? 0 : 1;
    T* target = buffer(i);
    operands_[i] = {target, pitch_};
    if (group_.inputs[i].read == Read::kListSum) {
      for (int64_t k = 0; k < rows_; ++k) stage_sum(target + k * pitch_, i, r + k, column, n);
      return;
    }
    const int32_t* index = reads_table(i) ? index_of(call_, i) : nullptr;
    for (int64_t k = 0; k < rows_; ++k) {
      const int64_t row = index == nullptr ? r + k : index[r + k];
      const T* source = row < 0 ? nullptr : row_of<T>(in, row) + (step == 0 ? 0 : column);
      stage_row(target + k * pitch_, source, step, n);
    }
  }

  void stage_sum(T* target, int i, int64_t r, int64_t column, int64_t n) const {
    const Operand& in = call_.in[i];
    const IndexTable& table = *table_of(call_, i);
    if (group_.inputs[i].narrow) {
      sum_segment(target, in, table, r, 0, 1);
      fill_row(target, *target, n);
    } else {
      sum_segment(target, in, table, r, column, least(n, width_ - column));
    }
  }

  void run_tile(int64_t r, int64_t column, int64_t n) {
    for (int i = 0; i < call_.num_in; ++i) bind_input(i, r, column, n);
    const bool whole = !run_mode_ || (rows_ * pitch_) % kBlock == 0;
    for (int j = 0; j < call_.num_out; ++j) {
      const OutputPlan& plan = outputs_[j];
      if (!plan.direct) continue;
      operands_[plan.reg] = whole ? Strided<T>{row_of<T>(call_.out[j], r) + column, call_.out[j].ld}
                                  : Strided<T>{buffer(plan.reg), pitch_};
    }
    for (int i = 0; i < group_.num_steps; ++i) run_step(group_.steps[i], n);
    for (int j = 0; j < call_.num_out; ++j) {
      if (outputs_[j].direct && whole) continue;
      const T* source = operands_[outputs_[j].reg].data;
      const int64_t ld = operands_[outputs_[j].reg].ld;
      for (int64_t k = 0; k < rows_; ++k) {
        copy_row(row_of<T>(call_.out[j], r + k) + column, source + k * ld, n);
      }
    }
  }

  void run_step(const GroupStep& step, int64_t n) {
    const OpFunction<T> function = kOps<T>[step.op];
    const Strided<T> dst = operands_[call_.num_in + step.to];
    const Strided<T> a = operands_[step.a];
    const Strided<T> b = operands_[step.b < 0 ? step.a : step.b];
    const Strided<T> c = operands_[step.c < 0 ? step.a : step.c];
    if (dst.ld == pitch_ && a.ld == pitch_ && b.ld == pitch_ && c.ld == pitch_) {
      function(dst.data, a.data, b.data, c.data, round_up((rows_ - 1) * pitch_ + n, kBlock));
      return;
    }
    for (int64_t r = 0; r < rows_; ++r) {
      function(dst.data + r * dst.ld, a.data + r * a.ld, b.data + r * b.ld, c.data + r * c.ld,
               round_up(n, kBlock));
    }
  }

  const KernelCall& call_;
  const GroupProgram& group_;
  const int64_t width_;
  bool run_mode_;
  int64_t pitch_;      // elements from row to row of a register
  int64_t chunk_;      // columns of a tile
  int64_t tile_rows_;  // most rows of a tile
  int64_t rows_ = 0;   // rows of the present tile
  int64_t buffer_size_;
  Strided<T>* operands_;  // inputs, registers, constants
  InputPlan* inputs_;
  OutputPlan* outputs_;
  T* buffers_;
};

template <class T>
void fused(const KernelCall& call) {
  const auto& group = attributes_of<GroupProgram>(call);
  if constexpr (sizeof(T) == sizeof(float)) {
    if (group.code != nullptr && call.row_begin < call.row_end) {
      CompiledGroup compiled(call, group);
      if (compiled.applies()) return compiled.run();
    }
  }
  FusedGroup<T>(call, group).run();
}

}  // namespace
}  // namespace cavs
