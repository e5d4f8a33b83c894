// Optimiser steps over flat arrays, in place, with PyTorch's formulae. The functions of a table
// work on n elements in one thread; the functions below the tables split large arrays over the
// pool.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/step_arithmetic.h"

namespace cavs {

template <class T>
struct OptimizerTable {
  void (*sgd)(const SgdSettings&, T* param, const T* grad, T* momentum, int64_t n);
  void (*adagrad)(const AdagradSettings&, T* param, const T* grad, T* sum, int64_t n);
  // `step`: number of the update, from 1
  void (*adam)(const AdamSettings&, int64_t step, T* param, const T* grad, T* m, T* v, int64_t n);
  // The arrays are null where the settings have no use for them.
  void (*rmsprop)(const RmspropSettings&, T* param, const T* grad, T* square, T* momentum, T* mean,
                  int64_t n);
  double (*sum)(const T* x, int64_t n);
  double (*sum_squares)(const T* x, int64_t n);
  void (*scale)(T* x, double factor, int64_t n);
  void (*add_scaled)(T* x, const T* y, double factor, int64_t n);
  T (*max_abs)(const T* x, int64_t n);
  T (*max_abs_rows)(const T* x, const int32_t* ids, int64_t count, int64_t d);
  bool (*has_nan)(const T* x, int64_t rows, int64_t ld, int64_t n);
};

// Takes all parameters at once, because only together small parameters are work for several
// threads.
template <class T>
void optimizer_step(const OptimizerSettings& settings, const std::vector<DenseUpdate<T>>& updates);

// Row-sparse step: row ids[i] of the (num_rows, d) arrays is updated with row i of the update's
// gradient (count, d); other rows and their moments stay as they are and do not decay. Ids of -1
// are passed over. All other ids must be distinct and in range; check_row_ids throws Error(kValue)
// where they are not. The update's n is not read.
void check_row_ids(const int32_t* ids, int64_t count, int64_t num_rows);
template <class T>
void optimizer_step_rows(OptimizerSettings settings, const DenseUpdate<T>& update,
                         const int32_t* ids, int64_t count, int64_t d);

// The result is the same to the last bit for any number of threads.
template <class T>
double sum_all(const T* x, int64_t n);
template <class T>
double sum_squares(const T* x, int64_t n);
// The greatest magnitude of each array: 0 for an empty array, infinite or NaN where an element is.
template <class T>
std::vector<T> max_abs_each(const std::vector<Elements<T>>& arrays);
// The same for one array.
template <class T>
T max_abs(const T* x, int64_t n);
// The same for some rows of d elements; ids of -1 are passed over.
template <class T>
T max_abs_rows(const T* x, const int32_t* ids, int64_t count, int64_t d);
// Whether one of `rows` rows of n elements, ld from start to start, has NaN; in this thread alone.
template <class T>
bool has_nan(const T* x, int64_t rows, int64_t ld, int64_t n);
template <class T>
void scale_in_place(T* x, double factor, int64_t n);
// x += factor * y
template <class T>
void add_in_place(T* x, const T* y, double factor, int64_t n);

}  // namespace cavs
