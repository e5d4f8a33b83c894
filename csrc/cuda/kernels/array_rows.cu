// Rows of arrays added up, or compared, by number: what the operations between compiled programs
// need. Each sum goes in the order of its list, so that all runs give the same bits.

namespace {

typedef CAVS_REAL Real;

__device__ Real larger(Real a, Real b) {
  if (a != a) return a;  // NaN stays
  return b > a || b != b ? b : a;
}

}  // namespace

// out[s] += rows[order[k]], one after the other, for k from starts[s] to starts[s + 1] - 1; rows of
// `width` elements.
extern "C" __global__ void __launch_bounds__(256)
    add_rows_by_list(Real* out, const Real* rows, const int* order, const int* starts, int segments,
                     int width) {
  const long long count = static_cast<long long>(segments) * width;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    const int segment = static_cast<int>(i / width);
    const int column = static_cast<int>(i % width);
    Real total = out[i];
    for (int k = starts[segment]; k < starts[segment + 1]; ++k) {
      total = total + rows[static_cast<long long>(order[k]) * width + column];
    }
    out[i] = total;
  }
}

extern "C" __global__ void __launch_bounds__(256)
    max_rows_by_list(Real* out, const Real* rows, const int* order, const int* starts, int segments,
                     int width) {
  const long long count = static_cast<long long>(segments) * width;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    const int segment = static_cast<int>(i / width);
    const int column = static_cast<int>(i % width);
    Real top = out[i];
    for (int k = starts[segment]; k < starts[segment + 1]; ++k) {
      top = larger(top, rows[static_cast<long long>(order[k]) * width + column]);
    }
    out[i] = top;
  }
}
