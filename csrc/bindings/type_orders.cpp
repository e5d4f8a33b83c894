// Reads the order of types, and what vertices read of their children.
#include "bindings/type_orders.h"

#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "base/error.h"
#include "bindings/read.h"

namespace py = pybind11;

namespace cavs {

std::shared_ptr<const TypeOrder> read_order(const py::object& item) {
  if (py::isinstance<TypeOrder>(item)) return item.cast<std::shared_ptr<TypeOrder>>();
  const py::tuple fields = read_tuple(item, 5, "schedule", "an order of types");
  TypeOrder order;
  order.names = read_as<std::vector<std::string>>(fields[0], "schedule", "names of types");
  order.given = read_as<std::vector<int>>(fields[1], "schedule", "numbers of types");
  const auto count = static_cast<int>(order.names.size());
  const auto check = [&](int type, int least) {
    CAVS_CHECK(type >= least && type < count, ErrorKind::kValue, "[schedule] expected types below ",
               count, ", got ", type, "; correct the order");
  };
  for (const int type : order.given) check(type, 0);
  for (const py::handle list : read_items(fields[2], "schedule", "lists of edges")) {
    const auto types = read_as<std::pair<int, int>>(list, "schedule", "two types");
    check(types.first, 0);
    check(types.second, -1);
    order.lists.push_back({types.first, types.second});
  }
  for (auto* flags : {&order.batched, &order.apart}) {
    const py::handle given = flags == &order.batched ? fields[3] : fields[4];
    for (const bool flag : read_as<std::vector<bool>>(given, "schedule", "truth values")) {
      flags->push_back(flag ? 1 : 0);
    }
    CAVS_CHECK(flags->size() == order.names.size(), ErrorKind::kValue,
               "[schedule] expected a truth value for each of ", count, " types, got ",
               flags->size(), "; correct the order");
  }
  return std::make_shared<const TypeOrder>(std::move(order));
}

std::shared_ptr<const ChildReads> read_child_reads(const py::object& order,
                                                   const py::object& items) {
  if (py::isinstance<ChildReads>(items)) return items.cast<std::shared_ptr<ChildReads>>();
  const auto found = std::make_shared<ChildReads>();
  found->order = read_order(order);
  const size_t count = found->order->count();
  for (const py::handle item : read_items(items, "schedule", "reads")) {
    const py::tuple fields = read_tuple(item, 4, "schedule", "a read");
    ChildRead read;
    read.edges.parents = read_as<int>(fields[0], "schedule", "the type of parents");
    read.edges.children = read_as<int>(fields[1], "schedule", "the type of children");
    const py::object slot = fields[2];
    if (!slot.is_none()) read.slot = read_as<int>(slot, "schedule", "the position of a child");
    read.types.assign(count, 0);
    for (const int type : read_as<std::vector<int>>(fields[3], "schedule", "types")) {
      CAVS_CHECK(type >= 0 && static_cast<size_t>(type) < count, ErrorKind::kValue,
                 "[schedule] expected types below ", count, ", got ", type, "; correct the reads");
      read.types[static_cast<size_t>(type)] = 1;
    }
    found->reads.push_back(std::move(read));
  }
  return found;
}

}  // namespace cavs
