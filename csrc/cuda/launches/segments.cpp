// Launches of the kernels over the rows that a table lists.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

template <bool kInLogSpace>
void launch_segments(Library& library, const Stream& stream, const DeviceCall& call) {
  Segments segments;
  if (!call.instruction->inputs.empty()) segments.in = call.in[0];
  segments.out = call.out[0];
  segments.table = call.tables[0];
  segments.rows = call.rows;
  segments.tiling = tiling_of(segments.out.size);
  launch(library, stream, kInLogSpace ? "segments_log" : "segments", call.instruction->kernel->name,
         blocks_for(library, call.rows, segments.tiling), segments);
}

}  // namespace

const std::vector<DeviceKernel>& segment_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"num_children", launch_segments<false>},     {"present", launch_segments<false>},
      {"segment_logsumexp", launch_segments<true>}, {"segment_max", launch_segments<false>},
      {"segment_softmax", launch_segments<true>},   {"segment_sum", launch_segments<false>},
  };
  return *table;
}

}  // namespace cavs::cuda
