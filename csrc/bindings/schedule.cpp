// Schedules, and the policies by which they are made; arrays go out as read-only views.
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
#include "bindings/missing_ids.h"
#include "bindings/own_ids.h"
#include "bindings/read.h"
#include "bindings/type_orders.h"
#include "bindings/unlocked.h"
#include "graph/frontier.h"
#include "graph/learned_policy.h"
#include "graph/schedule.h"
#include "program/program.h"

namespace py = pybind11;

namespace cavs {
namespace {

std::shared_ptr<Schedule> make_typed(const GraphBatch& batch, const std::string& policy,
                                     const py::object& given, const py::object& choose) {
  const std::shared_ptr<const TypeOrder> held = read_order(given);
  const TypeOrder& order = *held;
  if (py::isinstance<LearnedPolicy>(choose)) {
    const auto& learned = choose.cast<const LearnedPolicy&>();
    const Unlocked unlocked;
    return std::make_shared<Schedule>(make_schedule(batch, Policy::kBound, order, learned));
  }
  if (!choose.is_none()) {  // keeps the interpreter's lock
    const auto ask = [&choose](const Frontier& frontier) {
      py::list counts;
      for (const auto& vertices : frontier.ready()) counts.append(vertices.size());
      return read_as<size_t>(choose(counts), "policy", "the number of a type");
    };
    return std::make_shared<Schedule>(make_schedule(batch, Policy::kBound, order, ask));
  }
  const Policy known = policy_from_name(policy);
  const Unlocked unlocked;
  return std::make_shared<Schedule>(make_schedule(batch, known, order));
}

// The vertex, the edge and the number of the read of the first child that cannot be read; or None.
py::object find_unreadable_child(const GraphBatch& batch, const py::object& given,
                                 const py::object& given_reads, bool extra) {
  const std::shared_ptr<const ChildReads> reads = read_child_reads(given, given_reads);
  const TypeOrder& order = *reads->order;
  std::optional<Unreadable> found;
  {
    const Unlocked unlocked;
    found = find_unreadable(batch, types_of(batch, order), order.count(), reads->reads, extra);
  }
  if (!found) return py::none();
  return py::make_tuple(found->vertex, found->edge, found->read);
}

const EdgeRows& edges_of(const Schedule& schedule, int list) {
  CAVS_CHECK(list >= 0 && static_cast<size_t>(list) < schedule.edges.size(), ErrorKind::kValue,
             "[schedule] expected a list of edges of 0..",
             static_cast<int64_t>(schedule.edges.size()) - 1, ", got ", list,
             "; number one that there is");
  return schedule.edges[static_cast<size_t>(list)];
}

// The rows of one type (vertices, leaves or inner vertices), or of one list of edges, among those
// of an array with rows for the types, or lists, `given`.
struct IdRows {
  SpaceKind kind = SpaceKind::kVertex;
  int member = 0;
  std::vector<int> given;
};

// missing_ids for the ids of these rows alone.
py::object missing_ids(const Schedule& schedule,
                       const py::array_t<int32_t, py::array::c_style>& ids,
                       const py::array_t<bool, py::array::c_style>& known, const IdRows& rows) {
  const bool edges = rows.kind == SpaceKind::kEdge;
  const auto count = static_cast<int>(edges ? schedule.edges.size() : schedule.types.size());
  const auto there = [&](int member) { return member >= 0 && member < count; };
  CAVS_CHECK(there(rows.member) && std::all_of(rows.given.begin(), rows.given.end(), there),
             ErrorKind::kValue, "[schedule] expected numbers below ", count,
             " as members of rows, got others; number what there is");
  int64_t first = 0, last = 0;
  if (edges) {
    last = schedule.edges[static_cast<size_t>(rows.member)].size();
  } else {
    const TypeRows& type = schedule.types[static_cast<size_t>(rows.member)];
    first = rows.kind == SpaceKind::kInner ? type.inner : type.first;
    last = rows.kind == SpaceKind::kLeaf ? type.inner : type.last;
  }
  if (first == last) return py::none();
  const std::vector<int32_t>& places = edges ? schedule.places_of_edges(rows.given, rows.member)
                                             : schedule.places_of_vertices(rows.given);
  const std::vector<int32_t> all = own_ids(ids.data(), ids.size());
  std::vector<int32_t> chosen(static_cast<size_t>(last - first));
  for (int64_t row = first; row < last; ++row) {
    const int32_t place = places[static_cast<size_t>(row)];
    CAVS_CHECK(place >= 0 && static_cast<size_t>(place) < all.size(), ErrorKind::kShape,
               "[schedule] expected an id for each row, got ", all.size(), "; pass all");
    chosen[static_cast<size_t>(row - first)] = all[static_cast<size_t>(place)];
  }
  return missing_among(chosen, known);
}

py::tuple learn(const std::vector<std::shared_ptr<GraphBatch>>& batches, const py::object& given,
                uint64_t seed) {
  const std::shared_ptr<const TypeOrder> held = read_order(given);
  const TypeOrder& order = *held;
  std::vector<const GraphBatch*> each;
  for (const auto& batch : batches) each.push_back(batch.get());
  const Learned learned = [&] {
    const Unlocked unlocked;
    return learn_policy(each, order, seed);
  }();
  py::dict table;
  for (const auto& [state, type] : learned.policy.table) table[py::tuple(py::cast(state))] = type;
  return py::make_tuple(table, learned.batches, learned.episodes);
}

}  // namespace

void bind_schedule(py::module_& m) {
  py::class_<TypeOrder, std::shared_ptr<TypeOrder>>(
      m, "TypeOrder", "The order of a function's types, read once; see Schedule.")
      .def(py::init([](const py::object& order) {
             return std::make_shared<TypeOrder>(*read_order(order));
           }),
           py::arg("order"));
  py::class_<IdRows>(m, "IdRows",
                     "The rows of one type or list of edges among those `given`, by numbers.")
      .def(py::init([](SpaceKind kind, int member, std::vector<int> given) {
             return IdRows{kind, member, std::move(given)};
           }),
           py::arg("kind"), py::arg("member"), py::arg("given"));
  py::class_<ChildReads, std::shared_ptr<ChildReads>>(
      m, "ChildReads",
      "What a function of types reads of children, read once; see "
      "find_unreadable_child.")
      .def(py::init([](const py::object& order, const py::object& reads) {
             return std::make_shared<ChildReads>(*read_child_reads(order, reads));
           }),
           py::arg("order"), py::arg("reads"));
  py::class_<LearnedPolicy>(m, "LearnedPolicy", "A table from states to types, in numbers.")
      .def(py::init([](const std::map<std::vector<int32_t>, int32_t>& table) {
             return LearnedPolicy{table};
           }),
           py::arg("table"));
  m.def("learn_policy", &learn, py::arg("batches"), py::arg("order"), py::arg("seed"),
        "(table, batches that the policy makes, episodes) of a policy learned on some batches.");
  m.def("find_unreadable_child", &find_unreadable_child, py::arg("batch"), py::arg("order"),
        py::arg("reads"), py::arg("extra"),
        "(vertex, edge, number of the read or -1) of the first child that a function of types "
        "cannot read, or None. A read: type of parents, type of children or -1, position or -1, "
        "types that scatter what is read.");
  py::class_<Schedule, std::shared_ptr<Schedule>> schedule(
      m, "Schedule", "A batch's vertices renumbered level by level, as flat int32 arrays.");
  schedule
      .def(py::init([](const std::shared_ptr<GraphBatch>& batch, const std::string& policy,
                       const py::object& order, const py::object& choose) {
             if (!order.is_none()) return make_typed(*batch, policy, order, choose);
             const Policy known = policy_from_name(policy);
             const Unlocked unlocked;
             return std::make_shared<Schedule>(make_schedule(*batch, known));
           }),
           py::arg("batch").none(false), py::arg("policy") = "depth", py::arg("order") = py::none(),
           py::arg("choose") = py::none(),
           "`order`: of a function of types (names, types as graphs number them, lists of edges, "
           "whether types run batch by batch, whether their leaves run before); `choose`: a "
           "function from the ready vertices of each type to the next type's number.")
      .def(
          "slot",
          [](const py::object& self, int k, int list) {
            const auto& schedule = self.cast<Schedule&>();
            edges_of(schedule, list);
            return view(schedule.slot(k, list), self);
          },
          py::arg("k"), py::arg("list") = 0,
          "[vertex row]: the vertex row of the k-th child, or -1.")
      .def_property_readonly("num_levels", &Schedule::num_batches)
      .def_property_readonly("num_batches", &Schedule::num_batches)
      .def_property_readonly(
          "num_steps",
          [](const Schedule& self) { return std::max<size_t>(1, self.step_ptr.size()) - 1; })
      .def_property_readonly(
          "batches",
          [](const Schedule& self) {
            py::list batches;
            for (const Batch& it : self.batches) {
              batches.append(py::make_tuple(it.type, it.begin, it.end));
            }
            return batches;
          },
          "(type, first row, last row + 1) of each batch, in order.")
      .def_property_readonly(
          "type_rows",
          [](const Schedule& self) {
            py::list types;
            for (const TypeRows& it : self.types) {
              types.append(py::make_tuple(it.first, it.inner, it.last));
            }
            return types;
          },
          "(first row, first row that is no leaf, last row + 1) of each type.")
      .def_readonly("num_graphs", &Schedule::num_graphs)
      .def_readonly("num_vertices", &Schedule::num_vertices)
      .def_readonly("num_edges", &Schedule::num_edges)
      .def_property_readonly("has_few_leaves", &Schedule::has_few_leaves)
      .def_property_readonly("max_arity",
                             [](const Schedule& self) { return edges_of(self, 0).max_arity; })
      .def_property_readonly("num_slots",
                             [](const Schedule& self) { return edges_of(self, 0).num_slots; })
      .def(
          "edge_rows",
          [](const py::object& self, int list) {
            const auto& schedule = self.cast<const Schedule&>();
            const EdgeRows& edges = edges_of(schedule, list);
            py::dict found;
            found["order"] = view(schedule.order_of_edges(list), self);
            found["child"] = view(schedule.child_of_edges(list), self);
            found["parent"] = view(schedule.parent_of_edges(list), self);
            found["slot"] = view(schedule.slot_of_edges(list), self);
            found["ptr"] = view(edges.ptr, self);
            found["out_ptr"] = view(schedule.out_edges(list).ptr, self);
            found["out_edge"] = view(schedule.out_edges(list).edge, self);
            return found;
          },
          py::arg("list"), "The arrays of a list of edges.");
  schedule.def(
      "runs",
      [](const py::object& self, int list) {
        const auto& schedule = self.cast<const Schedule&>();
        const EdgeRows& edges = edges_of(schedule, list);
        const ChildRuns& runs = schedule.runs(list);
        py::dict found;
        found["first"] = view(runs.first, self);
        found["ptr"] = view(edges.ptr, self);
        if (runs.order == nullptr) return found;
        found["order"] = view(*runs.order, self);
        found["graph_ptr"] = view(*runs.graph_ptr, self);
        py::array_t<bool> whole(static_cast<py::ssize_t>(runs.whole.size()));
        std::copy(runs.whole.begin(), runs.whole.end(), whole.mutable_data());
        found["whole"] = whole;
        return found;
      },
      py::arg("list") = 0, "The runs of children; see ChildRuns in csrc/graph/schedule.h.");
  schedule.def_property_readonly("has_runs", &Schedule::has_runs);
  schedule.def("missing_ids", &missing_ids, py::arg("ids"), py::arg("known"), py::arg("rows"),
               "Those of the ids of some rows for which `known` is false, or None.");
  const auto array = [&schedule](const char* name, std::vector<int32_t> Schedule::* member) {
    schedule.def_property_readonly(name, [member](const py::object& self) {
      return view(self.cast<Schedule&>().*member, self);
    });
  };
  array("level_ptr", &Schedule::level_ptr);
  array("level_edge_ptr", &Schedule::level_edge_ptr);
  array("step_ptr", &Schedule::step_ptr);
  array("vertex_order", &Schedule::vertex_order);
  array("vertex_row", &Schedule::vertex_row);
  array("graph_ptr", &Schedule::graph_ptr);
  array("graph_vertex", &Schedule::graph_vertex);
  // Of the first list of edges.
  const auto made = [&schedule](const char* name, const auto& get) {
    schedule.def_property_readonly(name, [get](const py::object& self) {
      const auto& it = self.cast<const Schedule&>();
      edges_of(it, 0);
      return view(get(it), self);
    });
  };
  using Rows = const std::vector<int32_t>&;
  made("edge_order", [](const Schedule& it) -> Rows { return it.order_of_edges(); });
  made("child", [](const Schedule& it) -> Rows { return it.child_of_edges(); });
  made("parent", [](const Schedule& it) -> Rows { return it.parent_of_edges(); });
  made("edge_slot", [](const Schedule& it) -> Rows { return it.slot_of_edges(); });
  made("child_ptr", [](const Schedule& it) -> Rows { return it.all_edges().ptr; });
  made("out_ptr", [](const Schedule& it) -> Rows { return it.out_edges().ptr; });
  made("out_edge", [](const Schedule& it) -> Rows { return it.out_edges().edge; });
  made("edge_graph", [](const Schedule& it) -> Rows { return it.graph_of_edges(); });
  made("edge_local", [](const Schedule& it) -> Rows { return it.local_of_edges(); });
  schedule.def_property_readonly("graph", [](const py::object& self) {
    return view(self.cast<const Schedule&>().graph_of_vertices(), self);
  });
  schedule.def_property_readonly("local", [](const py::object& self) {
    return view(self.cast<const Schedule&>().local_of_vertices(), self);
  });
}

}  // namespace cavs
