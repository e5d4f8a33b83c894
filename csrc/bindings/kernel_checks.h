// Direct calls of kernels, checked: kernels trust their operands and do not look again.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "cpu/kernel.h"
#include "program/kernels.h"

namespace cavs {

// An int32 array of a call; `data` is null where it was not given.
struct IndexArray {
  const int32_t* data = nullptr;
  int64_t size = 0;
};

struct CheckedTable {
  IndexArray index, ptr, list, part;
  IndexTable table() const { return {index.data, ptr.data, list.data, part.data}; }
};

struct CheckedRandom {
  const int64_t* graph_key = nullptr;
  int64_t num_graphs = 0;
  IndexArray vertex_graph, vertex_local, edge_graph, edge_local;
  bool training = true;
};

// A call as Python gives it: (rows, size) arrays have rows, (size) arrays none.
struct DirectCall {
  KernelId kernel = nullptr;
  DType dtype = DType::kFloat32;
  std::vector<pybind11::array> inputs, outputs;
  std::vector<bool> padded;  // of inputs, then outputs
  Attributes attributes;
  SpaceKind space = SpaceKind::kVertex;  // of the rows
  std::vector<CheckedTable> tables;      // one per input; without inputs the kernel's own
  CheckedRandom random;
  std::pair<int64_t, int64_t> rows;
};

// Throws Error(kValue) or Error(kShape) where the kernel would read or write outside of the arrays.
// Returns the attributes, completed with those that follow from rows and operands.
Attributes check_call(const DirectCall& call);

}  // namespace cavs
