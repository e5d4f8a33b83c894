// Graphs that grow, level by level.
#include "runtime/growth.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "bindings/bindings.h"
#include "bindings/program.h"
#include "bindings/read.h"
#include "bindings/run_arrays.h"
#include "bindings/run_outputs.h"
#include "bindings/type_orders.h"
#include "bindings/unlocked.h"

namespace py = pybind11;

namespace cavs {
namespace {

using Integers = py::array_t<int64_t, py::array::c_style>;

// What does not fit becomes a number that no vertex and no graph has.
std::vector<int32_t> copied(const Integers& array) {
  std::vector<int32_t> found;
  found.reserve(static_cast<size_t>(array.size()));
  for (py::ssize_t i = 0; i < array.size(); ++i) {
    const int64_t number = std::clamp<int64_t>(array.data()[i], -2, INT32_MAX);
    found.push_back(static_cast<int32_t>(number));
  }
  return found;
}

GrowthRules read_rules(const py::object& order, const py::object& reads, bool extra,
                       std::pair<int64_t, int64_t> slots_read, int64_t max_vertices) {
  GrowthRules found;
  if (!order.is_none()) {
    found.order = *read_order(order);
    found.reads = read_child_reads(order, reads)->reads;
  }
  found.extra_children = extra;
  found.slots_read = slots_read.first;
  found.last_read = slots_read.second;
  found.max_vertices = max_vertices;
  return found;
}

NewVertices read_vertices(const Integers& ptr, const Integers& children,
                          const std::optional<Integers>& types,
                          const std::optional<Integers>& graphs,
                          const std::optional<Integers>& forget) {
  NewVertices vertices;
  vertices.ptr = copied(ptr);
  vertices.children = copied(children);
  if (types) vertices.types = copied(*types);
  if (graphs) vertices.graphs = copied(*graphs);
  if (forget) vertices.forget = copied(*forget);
  return vertices;
}

py::array_t<int32_t> numbers(const std::vector<int32_t>& values, int64_t first = 0) {
  return py::array_t<int32_t>(static_cast<py::ssize_t>(values.size()) - first,
                              values.data() + first);
}

// The class that Python knows as _core.Growth.
class PyGrowth {
 public:
  PyGrowth(const PyProgram& program, const py::object& order, const py::object& reads, bool extra,
           std::pair<int64_t, int64_t> slots_read, int64_t max_vertices, const Integers& keys,
           uint64_t seed, uint64_t step, bool training, const py::object& params,
           const std::vector<int64_t>& versions)
      : outputs_(program.outputs),
        params_(read_arrays(params, "runtime", "parameter", false, program.exe->backend->device())),
        growth_(program.exe, read_rules(order, reads, extra, slots_read, max_vertices),
                std::vector<int64_t>(keys.data(), keys.data() + keys.size()),
                random_context(seed, step, training)) {
    arrays_.params = external(params_);
    set_versions(versions, &arrays_.params);
  }

  py::array_t<int32_t> open(const Integers& ptr, const Integers& children,
                            const std::optional<Integers>& types,
                            const std::optional<Integers>& graphs,
                            const std::optional<Integers>& forget) {
    const Turn turn(this);
    const int64_t first = growth_.graphs().num_vertices();
    growth_.open(read_vertices(ptr, children, types, graphs, forget));
    return numbers(growth_.graphs().graph(), first);
  }

  py::list run(const py::object& inputs, std::optional<int> threads) {
    const Turn turn(this);
    const Device device = growth_.executable().backend->device();
    const auto rows = [&](const Space& space) { return growth_.rows(space); };
    py::list results = complete_outputs(device, *outputs_, py::none(), rows);
    const std::vector<Array> held[] = {read_inputs(inputs, "runtime", device),
                                       read_arrays(results, "runtime", "output", true, device)};
    arrays_.inputs = external(held[0]);
    arrays_.outputs = external(held[1]);
    {
      const Unlocked unlocked;
      growth_.run(arrays_, threads.value_or(num_threads()));
    }
    return results;
  }

  const GrownGraphs& graphs() const { return growth_.graphs(); }
  int64_t state_bytes() const { return growth_.state_bytes(); }

 private:
  // Refuses a second Python thread while the first runs without the interpreter's lock.
  class Turn {
   public:
    explicit Turn(PyGrowth* growth) : growth_(growth) {
      CAVS_CHECK(!growth_->busy_.exchange(true), ErrorKind::kRuntime,
                 "[growth] expected one call at a time, got a call while another one is running; "
                 "use one growth per thread");
    }
    ~Turn() { growth_->busy_.store(false); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    PyGrowth* growth_;
  };

  const std::shared_ptr<const std::vector<OutputSpec>> outputs_;
  const std::vector<Array> params_;
  ArrayLists arrays_;
  std::atomic<bool> busy_{false};
  Growth growth_;
};

// The vertices that are there, by number.
template <class Class, class Get>
void bind_structure(Class& of, const Get& graphs) {
  of.def_property_readonly(
        "num_vertices",
        [graphs](const typename Class::type& self) { return graphs(self).num_vertices(); })
      .def_property_readonly(
          "graph",
          [graphs](const typename Class::type& self) { return numbers(graphs(self).graph()); })
      .def_property_readonly(
          "ptr", [graphs](const typename Class::type& self) { return numbers(graphs(self).ptr()); })
      .def_property_readonly(
          "children",
          [graphs](const typename Class::type& self) { return numbers(graphs(self).children()); })
      .def_property_readonly(
          "slots",
          [graphs](const typename Class::type& self) { return numbers(graphs(self).slots()); })
      .def_property_readonly("state_room", [graphs](const typename Class::type& self) {
        return graphs(self).states().room();
      });
}

constexpr const char* kOpen =
    "Opens vertices and gives the graph of each: offsets, the numbers of their children (-1: a "
    "hole), the number of each one's type, and its graph; without graphs, those of the first "
    "children. `forget`: vertices that no later level gathers from.";

}  // namespace

void bind_growth(py::module_& m) {
  py::class_<GrownGraphs> graphs(
      m, "GrownGraphs",
      "`order`, `reads`: as for a schedule and find_unreadable_child; None without types.");
  graphs
      .def(py::init([](int64_t num_graphs, const py::object& order, const py::object& reads,
                       bool extra, std::pair<int64_t, int64_t> slots_read, int64_t max_vertices) {
             return GrownGraphs(num_graphs,
                                read_rules(order, reads, extra, slots_read, max_vertices));
           }),
           py::arg("num_graphs"), py::arg("order"), py::arg("reads"), py::arg("extra_children"),
           py::arg("slots_read"), py::arg("max_vertices"))
      .def(
          "open",
          [](GrownGraphs& self, const Integers& ptr, const Integers& children,
             const std::optional<Integers>& types, const std::optional<Integers>& given,
             const std::optional<Integers>& forget) {
            const int64_t first = self.num_vertices();
            self.open(read_vertices(ptr, children, types, given, forget));
            return numbers(self.graph(), first);
          },
          py::arg("ptr"), py::arg("children"), py::arg("types"), py::arg("graphs"),
          py::arg("forget") = py::none(), kOpen);
  bind_structure(graphs, [](const GrownGraphs& self) -> const GrownGraphs& { return self; });
  py::class_<PyGrowth> growth(m, "Growth");
  growth
      .def(py::init<const PyProgram&, const py::object&, const py::object&, bool,
                    std::pair<int64_t, int64_t>, int64_t, const Integers&, uint64_t, uint64_t, bool,
                    const py::object&, const std::vector<int64_t>&>(),
           py::arg("program"), py::arg("order"), py::arg("reads"), py::arg("extra_children"),
           py::arg("slots_read"), py::arg("max_vertices"), py::arg("graph_keys"), py::arg("seed"),
           py::arg("step"), py::arg("training"), py::arg("params"),
           py::arg("versions") = std::vector<int64_t>(),
           "Graphs that grow, of a program that was made with `hold_states`; see GrownGraphs.")
      .def("open", &PyGrowth::open, py::arg("ptr"), py::arg("children"), py::arg("types"),
           py::arg("graphs"), py::arg("forget") = py::none(), kOpen)
      .def("run", &PyGrowth::run, py::arg("inputs"), py::arg("num_threads").none(true) = py::none(),
           "The outputs of the vertices that were opened last.");
  growth.def_property_readonly("state_bytes", &PyGrowth::state_bytes, "Of the states held.");
  bind_structure(growth, [](const PyGrowth& self) -> const GrownGraphs& { return self.graphs(); });
}

}  // namespace cavs
