// Matrices of which some rows are given, by ascending distinct ids; all other rows are zeros.
#pragma once

#include <cstdint>

#include "runtime/step_arithmetic.h"

namespace cavs {

// Adds two matrices that are given by rows; a row that only one of them has is copied. `ids` and
// `rows` have room for the rows of both. Returns the number of rows.
template <class T>
int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                   T* rows);

// Adds the rows to the whole matrix.
template <class T>
void add_rows(const RowsView<T>& a, int64_t width, T* whole);

}  // namespace cavs
