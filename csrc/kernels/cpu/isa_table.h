// What each instruction set's object file offers to the rest: tables of functions, and nothing
// inline.
#pragma once

#include <cstdint>

#include "kernels/cpu/optimizers.h"
#include "kernels/kernel.h"

namespace cavs {

struct KernelEntry {
  const char* name;
  KernelFunction single;  // float
  KernelFunction twice;   // double
};

// C[i, :] (n) += or = sum over k of A[i, k] * op(B)[k, :], for products too small for a BLAS call.
// Element (i, k) of A stands at a[i * a_row + k * a_column], likewise B and C with unit columns in
// C.
template <class T>
struct SmallProduct {
  int64_t m, n, k;
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  T* c;
  int64_t c_row;
  bool accumulate;
};

struct IsaTable {
  const KernelEntry* kernels;
  int num_kernels;
  OptimizerTable<float> single;
  OptimizerTable<double> twice;
  void (*small_product_single)(const SmallProduct<float>&);
  void (*small_product_twice)(const SmallProduct<double>&);
};

const IsaTable& isa_table_generic();
#if defined(__x86_64__)
const IsaTable& isa_table_avx2();
const IsaTable& isa_table_avx512();
#endif

// The table of current_isa().
const IsaTable& isa_table();

// Throws Error(kRuntime); out of line, so that the objects of the instruction sets instantiate
// nothing.
[[noreturn]] void fail_fused(const char* expected, int64_t came);

}  // namespace cavs
