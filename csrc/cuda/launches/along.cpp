// Launches of the kernels along the groups of a row, and of labels.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

void launch_along(Library& library, const Stream& stream, const DeviceCall& call, const char* unit,
                  int outer, int length) {
  Along along;
  for (size_t i = 0; i < call.instruction->inputs.size(); ++i) along.in[i] = call.in[i];
  along.out = call.out[0];
  along.rows = call.rows;
  along.outer = outer;
  along.length = length;
  along.shift = crew_shift(library.dtype(), length);
  const long long groups = (static_cast<long long>(call.rows.end) - call.rows.begin) * outer;
  launch(library, stream, unit, call.instruction->kernel->name,
         blocks_for(library, groups, kThreads >> along.shift), along);
}

template <int kUnit>
void launch_axis(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& axis = attributes_of<AxisAttributes>(call);
  if (axis.inner > 1) return launch_columns(library, stream, call);
  launch_along(library, stream, call, kUnit == 0 ? "softmax_rows" : "along",
               static_cast<int>(axis.outer), static_cast<int>(axis.length));
}

// The logits of a loss are the widest operand.
template <int kLogits>
void launch_loss(Library& library, const Stream& stream, const DeviceCall& call) {
  launch_along(library, stream, call, "losses", 1, call.in[kLogits].size);
}

}  // namespace

const std::vector<DeviceKernel>& along_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"cross_entropy", launch_loss<0>},  {"cross_entropy_grad", launch_loss<1>},
      {"log_softmax", launch_axis<0>},    {"logsumexp", launch_axis<0>},
      {"logsumexp_grad", launch_axis<0>}, {"softmax", launch_axis<0>},
      {"one_hot_max", launch_axis<1>},    {"row_max", launch_axis<1>},
  };
  return *table;
}

}  // namespace cavs::cuda
