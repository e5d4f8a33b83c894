// Lists the device functions over rows, and prints their kernels.
#include "cuda/code/row_functions.h"

#include <algorithm>
#include <iterator>

namespace cavs::cuda {
namespace {

constexpr DeviceFunction kRowFunctions[] = {
    {"move_4", "moves", "Move", "move<unsigned>"},
    {"move_8", "moves", "Move", "move<uint2>"},
    {"move_16", "moves", "Move", "move<uint4>"},
    {"slots_to_edges_4", "moves", "Slots", "slots_to_edges<unsigned>"},
    {"slots_to_edges_8", "moves", "Slots", "slots_to_edges<uint2>"},
    {"slots_to_edges_16", "moves", "Slots", "slots_to_edges<uint4>"},
    {"segment_sum", "segments", "Segments", "sum_segments"},
    {"segment_max", "segments", "Segments", "max_segments"},
    {"child_columns", "segments", "Segments", "find_child_columns"},
    {"child_columns_grad", "segments", "Segments", "put_child_columns"},
    {"num_children", "segments", "Segments", "count_listed"},
    {"present", "segments", "Segments", "find_present"},
    {"segment_logsumexp", "segments_log", "Segments", "logsumexp_segments"},
    {"segment_softmax", "segments_log", "Segments", "softmax_segments"},
    {"segment_log_softmax", "siblings_log", "Segments", "log_softmax_segments"},
    {"row_max", "along", "Along", "row_max"},
    {"one_hot_max", "along", "Along", "one_hot_max"},
    {"softmax", "softmax_rows", "Along", "softmax"},
    {"log_softmax", "softmax_rows", "Along", "log_softmax"},
    {"logsumexp", "softmax_rows", "Along", "logsumexp"},
    {"logsumexp_grad", "softmax_rows", "Along", "logsumexp_grad"},
    {"cross_entropy", "losses", "Along", "cross_entropy"},
    {"cross_entropy_grad", "losses", "Along", "cross_entropy_grad"},
    {"row_max_columns", "columns", "Lines", "row_max_columns"},
    {"softmax_columns", "columns", "Lines", "softmax_columns"},
    {"log_softmax_columns", "columns", "Lines", "log_softmax_columns"},
    {"logsumexp_columns", "columns", "Lines", "logsumexp_columns"},
    {"cumsum", "lines", "Lines", "cumsum"},
    {"argsort", "lines", "Lines", "argsort"},
    {"pick_elements", "lines", "Lines", "pick_elements"},
    {"put_elements", "lines", "Lines", "put_elements"},
    {"max_pool", "pooling", "Pools", "max_pool"},
    {"max_pool_grad", "pooling", "Pools", "max_pool_grad"},
    {"max_pool_tangent", "pooling", "Pools", "max_pool_tangent"},
    {"avg_pool", "pooling", "Pools", "avg_pool"},
    {"avg_unpool", "pooling", "Pools", "avg_unpool"},
    {"conv", "convolution", "Convolution", "conv"},
    {"conv_input", "convolution", "Convolution", "conv_input"},
    {"conv_weight", "convolution", "Convolution", "conv_weight"},
    {"broadcast", "shapes", "Shapes", "broadcast"},
    {"sum_to", "shapes", "Shapes", "sum_to"},
    {"uniform", "random", "Draw", "draw_uniform"},
    {"dropout", "random", "Draw", "drop_by_row"},
    {"dropout_by_id", "random", "Draw", "drop_by_ids"},
};

}  // namespace

const DeviceFunction* find_row_function(std::string_view kernel) {
  const auto* const found =
      std::find_if(std::begin(kRowFunctions), std::end(kRowFunctions),
                   [&](const DeviceFunction& function) { return function.kernel == kernel; });
  return found == std::end(kRowFunctions) ? nullptr : found;
}

std::map<std::string, std::string> row_kernels() {
  std::map<std::string, std::string> texts;
  for (const DeviceFunction& it : kRowFunctions) {
    std::string& text = texts[it.unit];
    if (text.empty()) text = std::string("#include \"cuda/kernels/") + it.unit + ".h\"\n";
    text += std::string("extern \"C\" __global__ void __launch_bounds__(256) ") + it.kernel +
            "(const __grid_constant__ cavs::cuda::" + it.type +
            " call) {\n  cavs::cuda::" + it.name + "(call);\n}\n";
  }
  return texts;
}

}  // namespace cavs::cuda
