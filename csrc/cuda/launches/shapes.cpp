// Launches of the kernels on the feature shape of a row.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

// Dims from the last to the first, adjacent ones as one where their elements stand as those of one.
class Collapsed {
 public:
  void add(int64_t size, int64_t step) {
    if (size == 1) return;
    if (rank_ > 0 && step == steps_[rank_ - 1] * sizes_[rank_ - 1]) {
      sizes_[rank_ - 1] *= size;
      return;
    }
    sizes_[rank_] = size;
    steps_[rank_++] = step;
  }
  Dimensions dimensions() const {
    Dimensions dims;
    dims.rank = rank_;
    for (int i = 0; i < rank_; ++i) {
      dims.sizes[i] = static_cast<int>(sizes_[rank_ - 1 - i]);
      dims.steps[i] = static_cast<int>(steps_[rank_ - 1 - i]);
    }
    return dims;
  }

 private:
  int rank_ = 0;
  int64_t sizes_[kDims] = {}, steps_[kDims] = {};
};
static_assert(kDims == kMaxRank, "a place for each dim");

Shapes shapes_of(const DeviceCall& call) {
  Shapes shapes;
  shapes.in = call.in[0];
  shapes.out = call.out[0];
  shapes.rows = call.rows;
  return shapes;
}

void broadcast(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& attributes = attributes_of<ShapeAttributes>(call);
  const Dims &small = attributes.source, &large = attributes.target;
  Collapsed kept;
  int64_t step = 1;
  for (int i = small.rank - 1; i >= 0; --i) {
    kept.add(large.sizes[i], small.sizes[i] == 1 ? 0 : step);
    step *= small.sizes[i];
  }
  Shapes shapes = shapes_of(call);
  shapes.kept = kept.dimensions();
  shapes.tiling = tiling_of(shapes.out.size);
  launch(library, stream, "shapes", "broadcast", blocks_for(library, call.rows, shapes.tiling),
         shapes);
}

// Which element goes where is what a broadcast is told too.
void permute(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& attributes = attributes_of<PermuteAttributes>(call);
  Collapsed kept;
  for (int i = attributes.sizes.rank - 1; i >= 0; --i) {
    kept.add(attributes.sizes.sizes[i], attributes.steps.sizes[i]);
  }
  Shapes shapes = shapes_of(call);
  shapes.kept = kept.dimensions();
  shapes.tiling = tiling_of(shapes.out.size);
  launch(library, stream, "shapes", "broadcast", blocks_for(library, call.rows, shapes.tiling),
         shapes);
}

void launch_sums(Library& library, const Stream& stream, Shapes shapes) {
  shapes.shift = crew_shift(library.dtype(), shapes.inner);
  const long long rows = static_cast<long long>(shapes.rows.end) - shapes.rows.begin;
  launch(library, stream, "shapes", "sum_to",
         blocks_for(library, rows * shapes.out.size, kThreads >> shapes.shift), shapes);
}

// The order of sums is that of the CPU, which adds up the last dim first where it is summed.
void sum_to(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& attributes = attributes_of<ShapeAttributes>(call);
  const Dims &large = attributes.source, &small = attributes.target;
  Shapes shapes = shapes_of(call);
  Collapsed kept, repeated;
  int64_t step = 1;
  for (int i = large.rank - 1; i >= 0; --i) {
    const bool sums = small.sizes[i] == 1;
    if (sums && i == large.rank - 1) {
      shapes.inner = static_cast<int>(large.sizes[i]);
    } else {
      (sums ? repeated : kept).add(large.sizes[i], step);
      if (sums) shapes.terms *= static_cast<int>(large.sizes[i]);
    }
    step *= large.sizes[i];
  }
  shapes.kept = kept.dimensions();
  shapes.repeated = repeated.dimensions();
  launch_sums(library, stream, shapes);
}

void row_sum(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& axis = attributes_of<AxisAttributes>(call);
  Shapes shapes = shapes_of(call);
  shapes.inner = static_cast<int>(axis.length);
  Collapsed kept;
  kept.add(axis.outer, axis.length);
  shapes.kept = kept.dimensions();
  launch_sums(library, stream, shapes);
}

}  // namespace

const std::vector<DeviceKernel>& shape_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"broadcast", broadcast}, {"permute", permute}, {"row_sum", row_sum}, {"sum_to", sum_to}};
  return *table;
}

}  // namespace cavs::cuda
