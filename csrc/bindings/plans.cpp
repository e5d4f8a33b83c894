// The dry run, and the options with which programs are planned.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/program.h"
#include "bindings/read.h"
#include "cpu/options.h"
#include "runtime/dry_run.h"

namespace py = pybind11;

namespace cavs {
namespace {

// `unique_rows`: number of rows of each unique of the program, in their order.
std::vector<SweepMemory> plan_sweeps_of(const PyProgram& program, const PyProgram* backward,
                                        const Schedule& schedule, const py::iterable& unique_rows,
                                        bool keep, int num_threads, bool retain) {
  std::vector<int64_t> rows;
  for (const py::handle count : unique_rows) {
    rows.push_back(read_as<int64_t>(count, "runtime", "integers as rows of uniques"));
  }
  const Executable* second = backward != nullptr ? backward->exe.get() : nullptr;
  return plan_sweeps(*program.exe, second, schedule, rows, keep, num_threads, retain);
}

void bind_memory_plans(py::module_& m) {
  py::class_<SweepMemory>(m, "SweepMemory", "The arena of one sweep of a run, as planned.")
      .def_property_readonly(
          "direction",
          [](const SweepMemory& self) { return self.backward ? "backward" : "forward"; })
      .def_readonly("total", &SweepMemory::total)
      .def_readonly("tables", &SweepMemory::tables)
      .def_readonly("threads", &SweepMemory::threads)
      .def_readonly("packed", &SweepMemory::packed)
      .def_property_readonly(
          "values",
          [](const SweepMemory& self) {
            py::list values;
            for (const ValueMemory& v : self.values) {
              values.append(py::make_tuple(v.value, v.rows, v.bytes, v.first, v.last));
            }
            return values;
          },
          "(value, rows in use, bytes, first segment, last segment) of each value in the arena.");
  m.def("plan_sweeps", &plan_sweeps_of, py::arg("program"), py::arg("backward").none(true),
        py::arg("schedule"), py::arg("unique_rows"), py::arg("keep"), py::arg("num_threads"),
        py::arg("retain") = false,
        "The SweepMemory of forward and, with `backward` and `keep`, of backward; with `retain` of "
        "one after which another may follow.");
}

void bind_options(py::module_& m) {
  m.def("execution_options", [] {
    const ExecutionOptions options = execution_options();
    py::dict result;
    result["chunk_rows"] = options.chunk_rows;
    result["chunk_bytes"] = options.chunk_bytes;
    result["min_parallel_rows"] = options.min_parallel_rows;
    result["min_parallel_ns"] = options.min_parallel_ns;
    result["min_team_ns"] = options.min_team_ns;
    result["min_split_ns"] = options.min_split_ns;
    result["compile_groups"] = options.compile_groups;
    return result;
  });
  m.def(
      "set_execution_options",
      [](int64_t chunk_rows, int64_t chunk_bytes, int64_t min_parallel_rows, double min_parallel_ns,
         double min_team_ns, double min_split_ns, bool compile_groups) {
        set_execution_options({chunk_rows, chunk_bytes, min_parallel_rows, min_parallel_ns,
                               min_team_ns, min_split_ns, compile_groups});
      },
      py::kw_only(), py::arg("chunk_rows"), py::arg("chunk_bytes"), py::arg("min_parallel_rows"),
      py::arg("min_parallel_ns"), py::arg("min_team_ns"), py::arg("min_split_ns"),
      py::arg("compile_groups") = true, "The options of programs that are made from now on.");
}

}  // namespace

void bind_plans(py::module_& m) {
  bind_memory_plans(m);
  bind_options(m);
}

}  // namespace cavs
