// "fused" for groups that have machine code (groups/group_code.h). The code takes addresses of
// rows; this file finds them, a few rows at a time. An operand is read where it stands, also
// through an index; only the sum of several rows is put into a buffer first.
#pragma once

#include "cpu/groups/group_program.h"
#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// Whether writing rows of `out` early might destroy rows of `in` that are still to be read.
template <class T>
bool rows_overlap(const KernelCall& call, const Operand& out, const Operand& in, int64_t width) {
  const T* out_begin = row_of<T>(out, call.row_begin);
  const T* out_end = row_of<T>(out, call.row_end - 1) + width;
  const T* in_begin = row_of<T>(in, call.row_begin);
  const T* in_end = row_of<T>(in, call.row_end - 1) + in.size;
  return out_begin < in_end && in_begin < out_end;
}

// Whether row r of `out` shares elements at most with row r of `in`.
template <class T>
bool shares_own_rows(const KernelCall& call, const Operand& out, const Operand& in, int64_t width) {
  const int64_t shift = row_of<T>(out, call.row_begin) - row_of<T>(in, call.row_begin);
  return out.ld == in.ld && shift + width <= out.ld && in.size - shift <= out.ld;
}

class CompiledGroup {
 public:
  CompiledGroup(const KernelCall& call, const GroupProgram& group)
      : call_(call),
        inputs_(group.inputs),
        code_(*group.code),
        width_(group.width),
        num_operands_(call.num_in + call.num_out) {
    int64_t sums = 0;
    for (int i = 0; i < call.num_in; ++i) {
      sums += is_sum(i) ? 1 : 0;
      has_tables_ = has_tables_ || reads_table(i);
    }
    find_put_aside();
    const int64_t bytes = kScratchBytes - round_up(code_.spill_bytes, kLine);
    rows_ = greatest(1, least(kMostRows, bytes / 4 / (num_operands_ * kPointerBytes)));
    const int64_t table = round_up(rows_ * num_operands_ * kPointerBytes, kLine);
    const int64_t buffers = (sums + num_put_aside_) * rows_ + 1;
    columns_ = least((bytes - table) / buffers / kLine * (kLine / kItem), kMostColumns);
    columns_ = least(columns_, round_up(width_, kLine / kItem));
    char* at = static_cast<char*>(call.scratch);
    spill_ = at;
    at += round_up(code_.spill_bytes, kLine);
    pointers_ = reinterpret_cast<const void**>(at);
    zeros_ = reinterpret_cast<float*>(at + table);
    sums_ = zeros_ + columns_;
    aside_ = sums_ + sums * rows_ * columns_;
  }

  bool applies() const {
    if (num_operands_ > kMostOperands || columns_ < code_.step) return false;
    return apart_ && (num_put_aside_ == 0 || columns_ >= width_);
  }

  void run() {
    if (has_tables_) fill_row(zeros_, 0.0f, columns_);
    for (int64_t row = call_.row_begin; row < call_.row_end; row += rows_) {
      const int64_t count = least(rows_, call_.row_end - row);
      prefetch(row + count, least(row + 2 * count, call_.row_end));
      for (int64_t column = 0; column < width_; column += columns_) {
        run_columns(row, count, column, least(columns_, width_ - column));
      }
    }
  }

 private:
  static constexpr int64_t kItem = sizeof(float), kPointerBytes = sizeof(void*), kLine = 64;
  static constexpr int64_t kMostRows = 8;  // few, so that sums are still in the L1 cache when read
  static constexpr int64_t kMostColumns = 4096, kMostOperands = 4096, kMostPutAside = 64;

  // The code writes a row whole before it begins the next one, and may write the last vector of a
  // row twice. Outputs that stand in the rows of inputs are put aside until all of these rows have
  // been read.
  void find_put_aside() {
    if (call_.num_out > kMostPutAside) {
      apart_ = false;
      return;
    }
    for (int j = 0; j < call_.num_out; ++j) {
      bool overlaps = false;
      for (int i = 0; i < call_.num_in; ++i) {
        const Operand &out = call_.out[j], &in = call_.in[i];
        if (reads_table(i) || !rows_overlap<float>(call_, out, in, width_)) continue;
        overlaps = true;
        apart_ = apart_ && shares_own_rows<float>(call_, out, in, width_);
      }
      if (!overlaps) continue;
      put_aside_ |= uint64_t{1} << j;
      ++num_put_aside_;
    }
  }

  bool is_put_aside(int j) const { return (put_aside_ >> j & 1) != 0; }

  // Fetches the rows that the next call of the code reads through tables while this call computes.
  void prefetch(int64_t begin, int64_t end) const {
    for (int i = 0; i < call_.num_in; ++i) {
      const Operand& in = call_.in[i];
      if (!reads_table(i)) continue;
      prefetch_rows<float>(in, *table_of(call_, i), begin, end, 0, least(in.size, columns_));
    }
  }

  bool is_sum(int i) const { return inputs_[i].read == Read::kListSum; }
  bool reads_table(int i) const { return is_sum(i) || inputs_[i].read == Read::kIndexed; }

  // The last columns may be fewer than a step; then they are computed together with some columns
  // before them.
  void run_columns(int64_t row, int64_t count, int64_t column, int64_t n) {
    const int64_t missing = greatest(0, code_.step - n);
    column -= missing;
    n += missing;
    for (int i = 0; i < call_.num_in; ++i) {
      const bool narrow = inputs_[i].narrow;
      bind_input(i, row, count, narrow ? 0 : column, narrow ? 1 : n);
    }
    Operand aside{aside_, columns_, width_};
    for (int j = 0; j < call_.num_out; ++j) {
      if (is_put_aside(j)) {
        bind_rows(call_.num_in + j, aside, 0, count, column);
        aside.data = aside.row<float>(rows_);
      } else {
        bind_rows(call_.num_in + j, call_.out[j], row, count, column);
      }
    }
    code_.function(pointers_, (n - code_.step) * kItem, count, spill_);
    if (num_put_aside_ > 0) write_put_aside(row, count);
  }

  void write_put_aside(int64_t row, int64_t count) {
    const float* from = aside_;
    for (int j = 0; j < call_.num_out; ++j) {
      if (!is_put_aside(j)) continue;
      for (int64_t k = 0; k < count; ++k) {
        copy_row(row_of<float>(call_.out[j], row + k), from + k * columns_, width_);
      }
      from += rows_ * columns_;
    }
  }

  void bind_rows(int operand, const Operand& value, int64_t row, int64_t count, int64_t column) {
    for (int64_t k = 0; k < count; ++k) {
      pointers_[k * num_operands_ + operand] = row_of<float>(value, row + k) + column;
    }
  }

  void bind_input(int i, int64_t row, int64_t count, int64_t column, int64_t n) {
    const Operand& in = call_.in[i];
    if (!reads_table(i)) return bind_rows(i, in, row, count, column);
    const void** to = pointers_ + i;
    if (!is_sum(i)) {
      const int32_t* index = index_of(call_, i);
      for (int64_t k = 0; k < count; ++k, to += num_operands_) {
        const int32_t from = index[row + k];
        *to = from < 0 ? zeros_ : row_of<float>(in, from) + column;
      }
      return;
    }
    const IndexTable& table = *table_of(call_, i);
    float* sum = sums_;
    for (int k = 0; k < i; ++k) sum += is_sum(k) ? rows_ * columns_ : 0;
    for (int64_t k = 0; k < count; ++k, to += num_operands_, sum += columns_) {
      const int64_t listed = table.ptr[row + k + 1] - table.ptr[row + k];
      if (listed == 0) {
        *to = zeros_;
      } else if (listed == 1) {
        *to = segment_row<float>(in, table, table.ptr[row + k]) + column;
      } else {
        sum_segment(sum, in, table, row + k, column, n);
        *to = sum;
      }
    }
  }

  const KernelCall& call_;
  const GroupInput* inputs_;
  const GroupCode& code_;
  const int64_t width_;
  const int64_t num_operands_;
  bool has_tables_ = false;
  bool apart_ = true;       // row r of an output stands at most in row r of an input
  uint64_t put_aside_ = 0;  // a bit per output
  int64_t num_put_aside_ = 0;
  int64_t rows_;     // most rows of one call of the code
  int64_t columns_;  // most columns of one call
  void* spill_;
  const void** pointers_;  // row by row, inputs then outputs
  float* zeros_;           // read for an index of -1
  float* sums_;            // per input that is a sum, `rows_` rows
  float* aside_;           // per output that is put aside, `rows_` rows
};

}  // namespace
}  // namespace cavs
