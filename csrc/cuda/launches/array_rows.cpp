// Rows added up or compared by number, a kernel for each dtype.
#include "cuda/launches/array_rows.h"

#include "cuda/launches/row_launches.h"

namespace cavs::cuda {

void reduce_rows(OpenGpu& open, const Stream& stream, Reduction reduction, const RowLists& s) {
  const int64_t count = static_cast<int64_t>(s.segments) * s.width;
  if (count == 0) return;
  const char* const name = reduction == Reduction::kSum ? "add_rows_by_list" : "max_rows_by_list";
  Library& library = library_of(open, s.dtype, false);
  library.kernel("array_rows", name)
      .launch(stream, {blocks_for(library, count, kThreads), kThreads, 0}, s.out, s.rows, s.order,
              s.starts, s.segments, s.width);
}

}  // namespace cavs::cuda
