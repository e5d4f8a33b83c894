// What kernels are given: operands, tables and rows, laid out alike by the host and on the device.
// NVRTC has no standard headers, so none is included.
#pragma once

namespace cavs::cuda {

// Rows of the driving space that a launch works on.
struct Rows {
  int begin = 0, end = 0;
};

// Row r begins at data + r * ld elements of the value's dtype; `size` elements of a row are
// meaningful. Operands without rows have ld == 0, so that the same arithmetic broadcasts them. Row
// 0 may lie before the memory of the value, where no row so low is in use.
struct Operand {
  void* data = nullptr;
  int ld = 0;
  int size = 0;
};

// See IndexTable in runtime/index_table.h.
struct Table {
  const int* index = nullptr;
  const int* ptr = nullptr;
  const int* list = nullptr;
  const int* part = nullptr;
};

// See RandomContext in runtime/random_context.h. Seed and step stand in memory of the device, so
// that a graph of launches serves every step.
struct RandomState {
  unsigned long long seed = 0, step = 0;
};
struct RandomRows {
  const int* graph = nullptr;
  const int* local = nullptr;
};
struct Random {
  const RandomState* state = nullptr;
  int training = 1;
  const long long* graph_key = nullptr;
  RandomRows vertices;
  const RandomRows* edges = nullptr;  // [list of edges], in memory of the host
};

}  // namespace cavs::cuda
