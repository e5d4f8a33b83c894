// Launches of the kernels that pool the images of a row.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

void launch_pools(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<PoolAttributes>(call);
  Pools pools;
  for (size_t i = 0; i < call.instruction->inputs.size(); ++i) pools.in[i] = call.in[i];
  pools.out = call.out[0];
  pools.rows = call.rows;
  pools.height = static_cast<int>(it.height);
  pools.width = static_cast<int>(it.width);
  pools.windows_y = static_cast<int>(it.windows_y);
  pools.windows_x = static_cast<int>(it.windows_x);
  pools.size_y = static_cast<int>(it.size_y);
  pools.size_x = static_cast<int>(it.size_x);
  pools.stride_y = static_cast<int>(it.stride_y);
  pools.stride_x = static_cast<int>(it.stride_x);
  pools.top = static_cast<int>(it.top);
  pools.left = static_cast<int>(it.left);
  if (it.padded) pools.count = pools.size_y * pools.size_x;
  const long long rows = static_cast<long long>(call.rows.end) - call.rows.begin;
  launch(library, stream, "pooling", call.instruction->kernel->name,
         blocks_for(library, rows * pools.out.size, kThreads), pools);
}

}  // namespace

const std::vector<DeviceKernel>& pool_kernels() {
  static const auto* const table =
      new std::vector<DeviceKernel>{{"avg_pool", launch_pools},
                                    {"avg_unpool", launch_pools},
                                    {"max_pool", launch_pools},
                                    {"max_pool_grad", launch_pools},
                                    {"max_pool_tangent", launch_pools}};
  return *table;
}

}  // namespace cavs::cuda
