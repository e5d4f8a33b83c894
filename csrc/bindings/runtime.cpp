// Runs of programs over a batch.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

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
#include "bindings/device_arrays.h"
#include "bindings/program.h"
#include "bindings/read.h"
#include "bindings/run_arrays.h"
#include "bindings/run_outputs.h"
#include "bindings/unlocked.h"
#include "graph/schedule.h"
#include "runtime/backend.h"
#include "runtime/run.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::int_ whole(double number) { return py::reinterpret_steal<py::int_>(PyLong_FromDouble(number)); }

// The class that Python knows as _core.Run. It keeps alive the objects that the native run points
// at.
class PyRun {
 public:
  PyRun(const PyProgram& program, std::shared_ptr<const Schedule> schedule,
        const py::array_t<int64_t, py::array::c_style>& graph_keys, uint64_t seed, uint64_t step,
        bool training, bool keep)
      : schedule_(std::move(schedule)),
        outputs_(program.outputs),
        run_(program.exe, *schedule_,
             std::vector<int64_t>(graph_keys.data(), graph_keys.data() + graph_keys.size()),
             random_context(seed, step, training), keep) {}

  py::list forward(const py::object& params, const py::object& inputs, const py::object& outputs,
                   std::optional<int> threads, const std::vector<int64_t>& versions) {
    const Turn turn(this);
    py::list results = complete(run_.executable(), *outputs_, outputs);
    // Held here, because the caller's lists may change while the interpreter runs other threads.
    const Device device = run_.executable().backend->device();
    Held held = {read_arrays(params, "runtime", "parameter", false, device),
                 read_inputs(inputs, "runtime", device),
                 read_arrays(results, "runtime", "output", true, device)};
    ArrayLists arrays = held.lists();
    set_versions(versions, &arrays.params);
    {
      const Unlocked unlocked;
      run_.forward(arrays, threads.value_or(num_threads()));
    }
    held_ = std::move(held);  // backward reads them again
    params_ = std::move(arrays.params);
    // Others may write to the parameters before backward, so backward gets no versions.
    for (ExternalArray& param : params_) param.version = -1;
    return results;
  }

  py::list backward(const PyProgram& program, const py::object& inputs, const py::object& outputs,
                    std::optional<int> threads, bool retain) {
    const Turn turn(this);
    py::list results = complete(*program.exe, *program.outputs, outputs);
    const Device device = run_.executable().backend->device();
    const Held held = {{},
                       read_inputs(inputs, "runtime", device),
                       read_arrays(results, "runtime", "output", true, device)};
    ArrayLists arrays = held.lists();
    arrays.params = params_;
    {
      const Unlocked unlocked;
      run_.backward(program.exe, arrays, threads.value_or(num_threads()), retain);
    }
    if (!retain) held_ = {};  // a later backward is refused
    return results;
  }

  int64_t peak_bytes() const { return run_.peak_bytes(); }
  bool profile() const { return run_.profile(); }
  void set_profile(bool enabled) {
    const Turn turn(this);
    run_.set_profile(enabled);
  }

  void set_check_states(bool enabled) {
    const Turn turn(this);
    run_.set_check_states(enabled);
  }
  std::optional<std::pair<int, int64_t>> nan_state() const { return run_.nan_state(); }

  py::list profile_records() {
    const Turn turn(this);
    py::list records;
    for (const ProfileRecord& record : run_.profile_records()) {
      records.append(py::make_tuple(record.backward ? "backward" : "forward", record.segment,
                                    record.instruction, record.kernel, record.sum.calls,
                                    record.sum.rows, record.sum.ns, whole(record.row.flops),
                                    whole(record.row.bytes)));
    }
    return records;
  }

  py::list profile_sweeps() {
    const Turn turn(this);
    py::list sweeps;
    for (const SweepProfile& sweep : run_.profile_sweeps()) {
      py::list threads;
      for (const SweepProfile::Thread& thread : sweep.threads) {
        threads.append(
            py::dict(py::arg("kernels") = thread.kernels, py::arg("packing") = thread.packing,
                     py::arg("waiting") = thread.waiting, py::arg("walking") = thread.walking));
      }
      sweeps.append(py::dict(py::arg("direction") = sweep.backward ? "backward" : "forward",
                             py::arg("ids") = sweep.ids, py::arg("plan") = sweep.plan,
                             py::arg("bind") = sweep.bind, py::arg("walk") = sweep.walk,
                             py::arg("threads") = threads, py::arg("events") = events_of(sweep),
                             py::arg("left_out") = sweep.events_left_out));
    }
    return sweeps;
  }

  static py::array_t<int64_t> events_of(const SweepProfile& sweep) {
    const auto count = static_cast<py::ssize_t>(sweep.events.size());
    py::array_t<int64_t> events({count, py::ssize_t{7}});
    int64_t* to = events.mutable_data();
    for (const ProfileEvent& e : sweep.events) {
      for (const int64_t x : {e.thread, e.call, e.level, e.start, e.ns, e.rows, e.parts}) {
        *to++ = x;
      }
    }
    return events;
  }

 private:
  // Refuses a second Python thread while the first runs without the interpreter's lock.
  class Turn {
   public:
    explicit Turn(PyRun* run) : run_(run) {
      CAVS_CHECK(!run_->busy_.exchange(true), ErrorKind::kRuntime,
                 "[runtime] expected one call at a time on a run, got a call while another one is "
                 "running; use one run per thread");
    }
    ~Turn() { run_->busy_.store(false); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    PyRun* run_;
  };

  // The arrays of a call.
  struct Held {
    std::vector<Array> params, inputs, outputs;
    ArrayLists lists() const { return {external(params), external(inputs), external(outputs)}; }
  };

  py::list complete(const Executable& exe, const std::vector<OutputSpec>& specs,
                    const py::object& given) const {
    const auto rows = [&](const Space& space) { return run_.rows(exe.program, space); };
    return complete_outputs(exe.backend->device(), specs, given, rows);
  }

  const std::shared_ptr<const Schedule> schedule_;
  const std::shared_ptr<const std::vector<OutputSpec>> outputs_;
  std::vector<ExternalArray> params_;  // of forward, for backward
  Held held_;
  std::atomic<bool> busy_{false};
  Run run_;
};

}  // namespace

void bind_runtime(py::module_& m) {
  m.def(
      "check_device", [](const std::string& name) { device_named(name); }, py::arg("name"),
      "Raises InputError for a word that is no device of this build.");
  py::class_<PyRun>(m, "Run")
      .def(py::init<const PyProgram&, std::shared_ptr<Schedule>,
                    const py::array_t<int64_t, py::array::c_style>&, uint64_t, uint64_t, bool,
                    bool>(),
           py::arg("program"), py::arg("schedule").none(false), py::arg("graph_keys"),
           py::arg("seed"), py::arg("step"), py::arg("training"), py::arg("keep"))
      .def("forward", &PyRun::forward, py::arg("params"), py::arg("inputs"),
           py::arg("outputs").none(true) = py::none(),
           py::arg("num_threads").none(true) = py::none(),
           py::arg("versions") = std::vector<int64_t>(),
           "The outputs: the given arrays, with a new one in place of each None. All are new "
           "without `outputs`.")
      .def("backward", &PyRun::backward, py::arg("program"), py::arg("inputs"),
           py::arg("outputs").none(true) = py::none(),
           py::arg("num_threads").none(true) = py::none(), py::arg("retain") = false,
           "As forward, with the parameters that were given to forward. With `retain` another "
           "backward may follow.")
      .def_property_readonly("peak_bytes", &PyRun::peak_bytes)
      .def_property("check_states", nullptr, &PyRun::set_check_states,
                    "Whether forward looks for NaN in states; to be set before forward.")
      .def_property_readonly(
          "nan_state", &PyRun::nan_state,
          "The first NaN of a state: the state's number and the vertex, or None.")
      .def_property("profile", &PyRun::profile, &PyRun::set_profile)
      .def("profile_records", &PyRun::profile_records,
           "(direction, segment, instruction, kernel, calls, rows, ns, FLOPs of a row, bytes of a "
           "row) of each instruction; calls, rows and ns are summed over the threads.")
      .def("profile_sweeps", &PyRun::profile_sweeps,
           "Nanoseconds of each direction: ids, plan, bind, walk, and of its threads. `events`: "
           "(events, 7), of each call of a kernel its thread, number of the record or -1 for "
           "packing, level or -1, start, nanoseconds, rows, and parts that share it; `left_out`: "
           "how many there is no room for.");
}

}  // namespace cavs
