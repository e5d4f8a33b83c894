// Adds matrices of which some rows are given.
#include "cpu/kernels/row_sparse.h"

#include <algorithm>

namespace cavs {

template <class T>
int64_t merge_rows(const RowsView<T>& a, const RowsView<T>& b, int64_t width, int32_t* ids,
                   T* rows) {
  int64_t count = 0;
  for (int64_t i = 0, j = 0; i < a.count || j < b.count; ++count) {
    const bool from_a = i < a.count && (j == b.count || a.ids[i] <= b.ids[j]);
    const bool from_b = j < b.count && (i == a.count || b.ids[j] <= a.ids[i]);
    ids[count] = from_a ? a.ids[i] : b.ids[j];
    T* row = rows + count * width;
    const T* first = a.rows + i * width;
    const T* second = b.rows + j * width;
    if (from_a && from_b) {
      for (int64_t k = 0; k < width; ++k) row[k] = first[k] + second[k];
    } else {
      std::copy_n(from_a ? first : second, width, row);
    }
    i += from_a ? 1 : 0;
    j += from_b ? 1 : 0;
  }
  return count;
}

template <class T>
void add_rows(const RowsView<T>& a, int64_t width, T* whole) {
  for (int64_t i = 0; i < a.count; ++i) {
    T* row = whole + a.ids[i] * width;
    const T* part = a.rows + i * width;
    for (int64_t k = 0; k < width; ++k) row[k] += part[k];
  }
}

template int64_t merge_rows(const RowsView<float>&, const RowsView<float>&, int64_t, int32_t*,
                            float*);
template int64_t merge_rows(const RowsView<double>&, const RowsView<double>&, int64_t, int32_t*,
                            double*);
template void add_rows(const RowsView<float>&, int64_t, float*);
template void add_rows(const RowsView<double>&, int64_t, double*);

}  // namespace cavs
