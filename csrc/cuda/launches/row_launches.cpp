// How the work of a launch is parted among threads.
#include "cuda/launches/row_launches.h"

#include <algorithm>

namespace cavs::cuda {

namespace {

constexpr int kBlocksAtOnce = 8;  // of a processor, which holds 2048 threads

}  // namespace

Tiling tiling_of(int columns) {
  constexpr int kWarp = 5, kMost = 8;  // powers of two: a warp, a block
  Tiling tiling;
  tiling.columns = columns;
  for (int shift = 0; shift <= kMost; ++shift) {
    const int lanes = 1 << shift, across = (columns + lanes - 1) / lanes;
    const bool full = shift <= kWarp || (across * lanes - columns) * 4 <= columns;
    if (full) {
      tiling.shift = shift;
      tiling.across = across;
    }
    if (across == 1) break;
  }
  return tiling;
}

unsigned blocks_for(const Library& library, long long count, long long each) {
  const long long most = static_cast<long long>(library.open().gpu.processors()) * kBlocksAtOnce;
  return static_cast<unsigned>(std::clamp<long long>((count + each - 1) / each, 1, most));
}

int crew_shift(DType dtype, int length) {
  constexpr int kLong = 1024, kBlock = 8;
  const int lanes = dtype == DType::kFloat64 ? 3 : 4;
  if (length < 1 << lanes) return 0;
  return length <= kLong ? lanes : kBlock;
}

unsigned blocks_for(const Library& library, Rows rows, const Tiling& tiling) {
  const long long lines = kThreads >> tiling.shift;
  const long long down = (static_cast<long long>(rows.end) - rows.begin + lines - 1) / lines;
  return blocks_for(library, down * tiling.across, 1);
}

}  // namespace cavs::cuda
