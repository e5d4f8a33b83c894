// What Python says of the types of a function.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <vector>

#include "graph/batching.h"

namespace cavs {

// Names, types as graphs number them, (parents, children) of lists of edges, whether types run
// batch by batch, and whether their leaves run before; or an object that was made from these.
std::shared_ptr<const TypeOrder> read_order(const pybind11::object& item);

// What the function of an order reads of children.
struct ChildReads {
  std::shared_ptr<const TypeOrder> order;
  std::vector<ChildRead> reads;
};

// Of each read (type of parents, type of children or -1, position or -1, types that scatter all
// that is read); or an object that was made from these.
std::shared_ptr<const ChildReads> read_child_reads(const pybind11::object& order,
                                                   const pybind11::object& items);

}  // namespace cavs
