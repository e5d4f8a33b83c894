// Rows of arrays added up, or compared, by number: what the operations between compiled programs
// need. Each sum goes in the order of its list, so that all runs give the same bits.

namespace {

typedef CAVS_REAL Real;

struct Sum {
  __device__ Real operator()(Real a, Real b) const { return a + b; }
};
struct Larger {
  __device__ Real operator()(Real a, Real b) const {
    if (a != a) return a;  // NaN stays
    return b > a || b != b ? b : a;
  }
};

// out[s] joined with rows[order[k]], one after the other, for k from starts[s] to starts[s + 1] - 1;
// rows of `width` elements.
template <class Join>
__device__ __forceinline__ void join_rows(const Join& join, Real* out, const Real* rows,
                                          const int* order, const int* starts, int segments,
                                          int width) {
  const long long count = static_cast<long long>(segments) * width;
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    const int segment = static_cast<int>(i / width);
    const int column = static_cast<int>(i % width);
    Real joined = out[i];
    for (int k = starts[segment]; k < starts[segment + 1]; ++k) {
      joined = join(joined, rows[static_cast<long long>(order[k]) * width + column]);
    }
    out[i] = joined;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
    add_rows_by_list(Real* out, const Real* rows, const int* order, const int* starts, int segments,
                     int width) {
  join_rows(Sum(), out, rows, order, starts, segments, width);
}
extern "C" __global__ void __launch_bounds__(256)
    max_rows_by_list(Real* out, const Real* rows, const int* order, const int* starts, int segments,
                     int width) {
  join_rows(Larger(), out, rows, order, starts, segments, width);
}
