// What Python says of the types of a function.
#pragma once

#include <pybind11/pybind11.h>

#include <vector>

#include "graph/batching.h"

namespace cavs {

// Names, types as graphs number them, (parents, children) of lists of edges, whether types run
// batch by batch, and whether their leaves run before.
TypeOrder read_order(const pybind11::object& item);

// (type of parents, type of children or -1, position or -1, types that scatter all that is read).
std::vector<ChildRead> read_child_reads(const pybind11::object& items, const TypeOrder& order);

}  // namespace cavs
