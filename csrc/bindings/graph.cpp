// Input graphs and batches of them; arrays go out as read-only views without a copy.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/array_view.h"
#include "bindings/bindings.h"
#include "bindings/own_ids.h"
#include "bindings/read.h"
#include "bindings/unlocked.h"
#include "graph/graph_batch.h"
#include "graph/type_names.h"

namespace py = pybind11;

namespace cavs {
namespace {

using Ints = std::vector<int64_t>;

constexpr int64_t kMostTypes = 1 << 16;

// The name of a value in error messages: "ptr", or "vertex 3: child".
struct Place {
  const char* what;
  int64_t vertex = -1;
  std::string name() const {
    return vertex < 0 ? what : "vertex " + std::to_string(vertex) + ": " + what;
  }
};

[[noreturn]] void fail_type(const Place& place, const char* expected, py::handle got) {
  throw py::type_error("[graph] " + place.name() + ": expected " + expected + ", got " +
                       describe(got) + "; check its type");
}

int64_t read_int(py::handle value, const Place& place, const char* expected = "an integer") {
  // Any object with __index__ counts as an integer, NumPy's scalars among them.
  auto index = py::reinterpret_borrow<py::object>(value);
  if (!PyLong_CheckExact(value.ptr())) {
    index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
    if (!index) {
      PyErr_Clear();
      fail_type(place, expected, value);
    }
  }
  int overflow = 0;
  const long long number = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  CAVS_CHECK(overflow == 0, ErrorKind::kGraph, "[graph] ", place.name(),
             ": expected a number of 64 bits, got ", py::repr(index).cast<std::string>(),
             "; check the value");
  return number;
}

// Calls body(item, number) for the items of any iterable.
template <class Body>
void for_each_item(py::handle values, const Place& place, const char* expected, const Body& body) {
  const auto items = py::reinterpret_steal<py::object>(PySequence_Fast(values.ptr(), ""));
  if (!items) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    fail_type(place, expected, values);
  }
  // The size is read anew each time, because __index__ of an item may run code that shortens a
  // list.
  for (py::ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.ptr()); ++i) {
    body(py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(items.ptr(), i)), i);
  }
}

// Lists and tuples of integers (a loader's case, kept free of NumPy's overhead), or any 1-D array.
Ints read_ints(py::handle values, const char* what) {
  constexpr const char* kExpected = "a one-dimensional array of integers";
  Ints ints;
  if (PyList_Check(values.ptr()) || PyTuple_Check(values.ptr())) {
    ints.reserve(PyObject_Length(values.ptr()));
    for_each_item(values, {what}, kExpected,
                  [&](py::handle item, int64_t) { ints.push_back(read_int(item, {what})); });
    return ints;
  }
  const py::array array = py::array::ensure(values);
  const char kind = array ? array.dtype().kind() : 'O';
  const bool is_integer = kind == 'i' || kind == 'u' || (kind == 'f' && array.size() == 0);
  if (!is_integer || array.ndim() != 1) fail_type({what}, kExpected, values);
  const auto numbers = py::array_t<int64_t, py::array::c_style | py::array::forcecast>(array);
  if (kind == 'u' && array.itemsize() == 8) {  // the greater half has become negative
    const int64_t* const end = numbers.data() + numbers.size();
    const int64_t* const wrapped =
        std::find_if(numbers.data(), end, [](int64_t x) { return x < 0; });
    CAVS_CHECK(wrapped == end, ErrorKind::kGraph, "[graph] ", what,
               ": expected numbers of 63 bits, got ", static_cast<uint64_t>(*wrapped),
               "; check the values");
  }
  return own_ids(numbers.data(), numbers.size());
}

GraphBatch graph_from_children(const py::object& children) {
  Ints child_ptr{0}, index;
  const auto read_vertex = [&](py::handle list, int64_t vertex) {
    const Place place{"child", vertex};
    for_each_item(list, {"children", vertex}, "a sequence of integers",
                  [&](py::handle child, int64_t) { index.push_back(read_int(child, place)); });
    child_ptr.push_back(static_cast<int64_t>(index.size()));
  };
  for_each_item(children, {"children"}, "a sequence of sequences of integers", read_vertex);
  return make_graph_batch({0, static_cast<int64_t>(child_ptr.size()) - 1}, child_ptr, index);
}

// `slots`: None, or the slot of each edge of lists that `graph` has without their holes.
GraphBatch with_slots(GraphBatch graph, const py::object& slots) {
  if (!slots.is_none()) set_slots(read_ints(slots, "child_slot"), &graph);
  return graph;
}

// A single graph is checked for cycles when it is made, because then its maker knows which graph it
// is.
std::shared_ptr<GraphBatch> share_acyclic(GraphBatch graph) {
  vertex_levels(graph);
  return std::make_shared<GraphBatch>(std::move(graph));
}

// pybind11 takes None for a null pointer.
std::shared_ptr<GraphBatch> read_graph(py::handle value) {
  CAVS_CHECK(!value.is_none(), ErrorKind::kValue,
             "[graph] expected a GraphBatch, got None; make one by cavs.batch");
  return read_as<std::shared_ptr<GraphBatch>>(value, "graph", "a GraphBatch");
}

std::shared_ptr<GraphBatch> concatenate_list(const py::list& graphs) {
  std::vector<std::shared_ptr<GraphBatch>> held;  // `graphs` may change
  std::vector<const GraphBatch*> parts;
  for (const py::handle graph : graphs) held.push_back(read_graph(graph));
  parts.reserve(held.size());
  for (const auto& graph : held) parts.push_back(graph.get());
  return std::make_shared<GraphBatch>(concatenate(parts));
}

// The graphs of a data set. Batches of them are made by number.
class GraphStore {
 public:
  explicit GraphStore(const py::sequence& graphs) {
    for (const py::handle graph : graphs) graphs_.push_back(read_graph(graph));
  }

  std::shared_ptr<GraphBatch> batch(const py::array_t<int64_t, py::array::c_style>& numbers) const {
    std::vector<const GraphBatch*> parts;
    parts.reserve(numbers.size());
    for (const int64_t number : own_ids(numbers.data(), numbers.size())) {
      CAVS_CHECK(number >= 0 && number < static_cast<int64_t>(graphs_.size()), ErrorKind::kValue,
                 "[data] expected sample numbers from 0 to ",
                 static_cast<int64_t>(graphs_.size()) - 1, ", got ", number, "; check the indices");
      parts.push_back(graphs_[static_cast<size_t>(number)].get());
    }
    return std::make_shared<GraphBatch>(concatenate(parts));
  }

 private:
  std::vector<std::shared_ptr<GraphBatch>> graphs_;
};

// Names or numbers, one for each vertex.
std::vector<int32_t> read_types(const py::object& types) {
  std::vector<int32_t> found;
  const auto add_number = [&](int64_t number) {
    CAVS_CHECK(number >= 0 && number < kMostTypes, ErrorKind::kGraph, "[graph] vertex ",
               found.size(), ": type: expected a name, or a number of 0..", kMostTypes - 1,
               ", got ", number, "; correct the types");
    found.push_back(numbered_type(number));
  };
  if (py::isinstance<py::array>(types)) {
    const py::array array = py::reinterpret_borrow<py::array>(types);
    if (array.dtype().kind() == 'i' || array.dtype().kind() == 'u') {
      for (const int64_t number : read_ints(types, "types")) add_number(number);
      return found;
    }
  }
  constexpr const char* kExpected = "a sequence of names or of integers";
  constexpr const char* kEach = "a name or an integer";
  const bool text =
      PyUnicode_Check(types.ptr()) || PyBytes_Check(types.ptr()) || PyByteArray_Check(types.ptr());
  const bool without_order = PyAnySet_Check(types.ptr()) || PyDict_Check(types.ptr());
  if (text || without_order) fail_type({"types"}, kExpected, types);
  for_each_item(types, {"types"}, kExpected, [&](const py::object& item, int64_t vertex) {
    if (PyUnicode_Check(item.ptr())) {
      found.push_back(number_of_type(read_as<std::string>(item, "graph", "text as a type")));
    } else if (PyBool_Check(item.ptr())) {
      fail_type({"type", vertex}, kEach, item);
    } else {
      add_number(read_int(item, {"type", vertex}, kEach));
    }
  });
  return found;
}

py::object types_of_vertices(const GraphBatch& self) {
  if (self.types.empty()) return py::none();
  std::map<int32_t, py::object> known;  // few are distinct
  py::list types;
  for (const int32_t type : self.types) {
    py::object& word = known[type];
    if (!word) word = type < 0 ? py::object(py::int_(-1 - type)) : py::str(name_of_type(type));
    types.append(word);
  }
  return std::move(types);
}

void bind_graph_batch(py::module_& m) {
  py::class_<GraphBatch, std::shared_ptr<GraphBatch>> batch(
      m, "GraphBatch", "Input graphs as flat int32 arrays; one graph is a batch of one.");
  batch
      .def(py::init([](const py::object& ptr, const py::object& child_ptr,
                       const py::object& children, const py::object& slots) {
             return std::make_shared<GraphBatch>(with_slots(
                 make_graph_batch(read_ints(ptr, "ptr"), read_ints(child_ptr, "child_ptr"),
                                  read_ints(children, "children")),
                 slots));
           }),
           py::arg("ptr"), py::arg("child_ptr"), py::arg("children"),
           py::arg("child_slot") = py::none(),
           "From the graphs' arrays laid end to end, children counted within each graph.")
      .def_static(
          "from_children",
          [](const py::object& children) { return share_acyclic(graph_from_children(children)); })
      .def_static(
          "from_csr",
          [](const py::object& child_ptr, const py::object& children, const py::object& slots) {
            const Ints offsets = read_ints(child_ptr, "child_ptr");
            const auto size = static_cast<int64_t>(offsets.size());
            return share_acyclic(with_slots(make_graph_batch({0, size > 0 ? size - 1 : 0}, offsets,
                                                             read_ints(children, "children")),
                                            slots));
          })
      .def_static("from_parents",
                  [](const py::object& parents, bool by_leaf) {
                    const auto order = by_leaf ? SiblingOrder::kLeaf : SiblingOrder::kNumber;
                    return share_acyclic(graph_from_parents(read_ints(parents, "parents"), order));
                  })
      .def_static("from_edges",
                  [](const py::object& num_vertices, const py::object& children,
                     const py::object& parents) {
                    return share_acyclic(graph_from_edges(read_int(num_vertices, {"num_vertices"}),
                                                          read_ints(children, "children"),
                                                          read_ints(parents, "parents")));
                  })
      .def_static(
          "from_runs",
          [](const py::object& ptr, const py::object& first, const py::object& count) {
            return std::make_shared<GraphBatch>(make_run_batch(
                read_ints(ptr, "ptr"), read_ints(first, "first"), read_ints(count, "count")));
          })
      .def_static(
          "graph_from_runs",
          [](const py::object& first, const py::object& count) {
            const Ints starts = read_ints(first, "first");
            return std::make_shared<GraphBatch>(make_run_batch(
                {0, static_cast<int64_t>(starts.size())}, starts, read_ints(count, "count")));
          })
      .def_static("chain",
                  [](int64_t length, int64_t window, int64_t memory) {
                    return std::make_shared<GraphBatch>(causal_chain(length, window, memory));
                  })
      .def_static("concatenate", &concatenate_list, "All graphs of a list of batches, in order.")
      .def("reverse",
           [](const GraphBatch& self) { return std::make_shared<GraphBatch>(reverse(self)); })
      .def("vertex_levels",
           [](const GraphBatch& self) {
             const std::vector<int32_t> levels = vertex_levels(self);
             return py::array_t<int32_t>(static_cast<py::ssize_t>(levels.size()), levels.data());
           })
      .def_property_readonly("child_slot",
                             [](const GraphBatch& self) {
                               const std::vector<int32_t> slots = child_slots(self);
                               return py::array_t<int32_t>(static_cast<py::ssize_t>(slots.size()),
                                                           slots.data());
                             })
      .def_property_readonly("has_runs", &GraphBatch::has_runs)
      .def_property_readonly("children",
                             [](const py::object& self) {
                               return view(self.cast<const GraphBatch&>().children(), self);
                             })
      .def_property_readonly("has_holes",
                             [](const GraphBatch& self) { return !self.slots.empty(); })
      .def("__eq__",
           [](const GraphBatch& self, const GraphBatch& other) { return same_graphs(self, other); })
      .def("set_types",
           [](GraphBatch& self, const py::object& types) { set_types(read_types(types), &self); })
      .def_property_readonly("types", &types_of_vertices)
      .def_property_readonly("num_graphs", &GraphBatch::num_graphs)
      .def_property_readonly("num_vertices", &GraphBatch::num_vertices)
      .def_property_readonly("num_edges", &GraphBatch::num_edges);
  const auto array = [&batch](const char* name, std::vector<int32_t> GraphBatch::* member) {
    batch.def_property_readonly(name, [member](const py::object& self) {
      return view(self.cast<GraphBatch&>().*member, self);
    });
  };
  array("ptr", &GraphBatch::ptr);
  array("edge_ptr", &GraphBatch::edge_ptr);
  array("child_ptr", &GraphBatch::child_ptr);
  array("first", &GraphBatch::first);
}

void bind_graph_store(py::module_& m) {
  py::class_<GraphStore>(m, "GraphStore", "Input graphs; batches of them are made by number.")
      .def(py::init<const py::sequence&>(), py::arg("graphs"))
      .def("batch", &GraphStore::batch, py::arg("numbers"));
}

}  // namespace

void bind_graph(py::module_& m) {
  bind_graph_batch(m);
  bind_graph_store(m);
}

}  // namespace cavs
