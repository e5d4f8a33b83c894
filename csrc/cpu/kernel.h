// The arguments of a kernel: operands, the range of rows, and the index tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "program/program.h"
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
  // Whether a kernel may read the elements between `size` and ld, and write anything there: true
  // for a value that owns its rows, false for a view into the columns of another value.
  bool padded = false;
  const void* packed = nullptr;  // a weight's panels, see pack_weight

  template <class T>
  T* row(int64_t r) const {
    return static_cast<T*>(data) + r * ld;
  }
};

struct KernelCall {
  const Operand* in = nullptr;
  int num_in = 0;
  const Operand* out = nullptr;
  int num_out = 0;
  // Attributes of the type that the kernel's row in program/kernels.cpp names (see
  // program/attributes.h); for "fused" the GroupProgram.
  const void* attributes = nullptr;
  int64_t row_begin = 0;  // rows of the driving space that this call works on. A kernel that
  int64_t row_end = 0;    // sums over rows reads them all and splits its output by thread.
  const IndexTable* tables = nullptr;  // one per input operand; empty tables where it has none
  const RandomContext* random = nullptr;
  int thread = 0;
  int num_threads = 1;
  void* scratch = nullptr;      // scratch_bytes, private to the thread, 64-byte aligned
  int64_t* left_out = nullptr;  // counts the rows that a product leaves out; may be null
};

// A weight B (k, n) in panels, the layout that products of rows with B read fastest.
// packed_weight_bytes returns the bytes of the panels. pack_weight makes part `thread` of
// `num_threads` of them from B, which stands as (n, k) where `transposed`.
int64_t packed_weight_bytes(DType dtype, int64_t k, int64_t n);
void pack_weight(DType dtype, bool transposed, int64_t k, int64_t n, const void* weight,
                 void* packed, int thread, int num_threads);

// The scratch of a call, of which most kernels need no more than kScratchBytes.
constexpr int64_t kScratchBytes = 256 * 1024;
int64_t scratch_bytes(DType dtype, KernelId kernel, const Attributes& attributes);

using KernelFunction = void (*)(const KernelCall&);

// The kernel of this name, or null. Names are those of the ops table (cavs/core/ops) and of the
// lowered instructions that have no op there ("load", "store", "take", "fused", ...).
KernelFunction find_kernel(DType dtype, const std::string& name);
std::vector<std::string> kernel_names();

// Instruction set chosen at start-up: "avx512", "avx2" or "generic". The environment variable
// CAVS_ISA may name a lesser one than the machine has.
std::string instruction_set();

}  // namespace cavs
