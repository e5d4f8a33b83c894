// What one instruction sees when it runs: operands, the range of rows, and the index table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "runtime/index_table.h"
#include "runtime/random_context.h"

namespace cavs {

// Rows r of a value start at data + r * ld elements; `size` elements of a row are meaningful.
// Operands without rows (parameters, constants; space "none") have ld == 0 and stand densely, so
// that the same arithmetic broadcasts them.
struct Operand {
  void* data = nullptr;
  int64_t ld = 0;
  int64_t size = 0;
  // Elements between `size` and ld may be read, and written with anything, by a kernel: true for a
  // value that owns its rows, false for a view into the columns of another.
  bool padded = false;
  const void* packed = nullptr;  // a weight's panels, see pack_weight

  template <class T>
  T* row(int64_t r) const {
    return static_cast<T*>(data) + r * ld;
  }
};

// Machine code for an elementwise group: it computes rows of it, `step` columns at a time. `rows`
// holds, row after row, the addresses of the inputs' and of the outputs' rows; `last` is the byte
// at which the last step of a row begins, which may overlap with the one before it; `spill` is
// memory of `spill_bytes`.
struct GroupCode {
  void (*function)(const void* const* rows, int64_t last, int64_t num_rows, void* spill);
  int64_t step;  // elements; a row has so many at least
  int64_t spill_bytes;
};

struct KernelCall {
  const Operand* in = nullptr;
  int num_in = 0;
  const Operand* out = nullptr;
  int num_out = 0;
  const int64_t* ints = nullptr;   // attributes; meaning by kernel
  const double* floats = nullptr;  // attributes; meaning by kernel
  int64_t row_begin = 0;  // rows of the driving space that this call works on. A kernel that
  int64_t row_end = 0;    // sums over rows reads them all and splits its output by thread.
  const IndexTable* tables = nullptr;  // one per input operand; empty tables where it has none
  const RandomContext* random = nullptr;
  int thread = 0;
  int num_threads = 1;
  void* scratch = nullptr;          // kScratchBytes, private to the thread, 64-byte aligned
  const GroupCode* code = nullptr;  // of "fused", where it was compiled
  int64_t* left_out = nullptr;      // where to add up rows that a product leaves out, if wanted
};

// A weight B (k, n) in panels, as products of rows with it read it fastest: bytes that they take,
// and part `thread` of `num_threads` of making them from B, which stands as (n, k) where
// `transposed`.
int64_t packed_weight_bytes(DType dtype, int64_t k, int64_t n);
void pack_weight(DType dtype, bool transposed, int64_t k, int64_t n, const void* weight,
                 void* packed, int thread, int num_threads);

constexpr int64_t kScratchBytes = 256 * 1024;

using KernelFunction = void (*)(const KernelCall&);

// The kernel of this name, or null. Names are those of the ops table (cavs/core/ops) and of the
// lowered instructions that it has no op for ("load", "store", "take", "fused", ...).
KernelFunction find_kernel(DType dtype, const std::string& name);
std::vector<std::string> kernel_names();

// Number of a scalar operation of "fused", or -1. See cpu/kernels/scalar_ops.h.
int scalar_opcode(const std::string& name);
int scalar_op_arity(int opcode);  // 1, 2 or 3; -1 for a number that is no operation's
std::vector<std::string> scalar_op_names();

// Instruction set chosen at start-up: "avx512", "avx2" or "generic". The environment variable
// CAVS_ISA may name a lesser one than the machine has.
std::string instruction_set();

}  // namespace cavs
