// Matrices of which some rows are given, by ascending distinct ids; the others are zeros.
#pragma once

#include <cstdint>

#include "runtime/step_arithmetic.h"

namespace cavs {

// The sum of two, a row in one of them alone as it is. `ids` and `rows` have room for the rows of
// both; returns how many there are.
template <class T>
int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                   T* rows);

// Adds the rows to the whole matrix.
template <class T>
void add_rows(const RowsView<T>& a, int64_t width, T* whole);

}  // namespace cavs
