// Kernels beside those of the functions in random.h.
#include "cuda/kernels/random.h"

// What the others read.
extern "C" __global__ void note_state(cavs::cuda::NoteState call) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *call.to = call.state;
}

// Folds ids in, for rows that have more of them than one launch takes.
extern "C" __global__ void __launch_bounds__(256)
    fold_ids(const __grid_constant__ cavs::cuda::Draw call) {
  using namespace cavs::cuda;
  for_each_element(call.tiling, call.rows, [&](int r, int) {
    const SampleKey row = key_of_ids(call, r);
    call.keys[2 * static_cast<long long>(r - call.rows.begin)] = row.local;
    call.keys[2 * static_cast<long long>(r - call.rows.begin) + 1] = row.graph;
  });
}
