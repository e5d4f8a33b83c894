// Launches of the kernels over the rows that a table lists.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

constexpr const char* kUnits[] = {"segments", "segments_log", "siblings_log"};

template <int kUnit>
void launch_segments(Library& library, const Stream& stream, const DeviceCall& call) {
  Segments segments;
  if (!call.instruction->inputs.empty()) segments.in = call.in[0];
  segments.out = call.out[0];
  segments.table = call.tables[0];
  segments.rows = call.rows;
  segments.tiling = tiling_of(segments.out.size);
  launch(library, stream, kUnits[kUnit], call.instruction->kernel->name,
         blocks_for(library, call.rows, segments.tiling), segments);
}

}  // namespace

const std::vector<DeviceKernel>& segment_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"child_columns", launch_segments<0>},       {"child_columns_grad", launch_segments<0>},
      {"num_children", launch_segments<0>},        {"present", launch_segments<0>},
      {"segment_log_softmax", launch_segments<2>}, {"segment_logsumexp", launch_segments<1>},
      {"segment_max", launch_segments<0>},         {"segment_softmax", launch_segments<1>},
      {"segment_sum", launch_segments<0>},
  };
  return *table;
}

}  // namespace cavs::cuda
