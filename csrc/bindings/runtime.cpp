// Programs, and runs over a batch.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/program.h"
#include "graph/schedule.h"
#include "program/text.h"
#include "runtime/run.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::tuple read_tuple(py::handle item, size_t length, const char* what) {
  CAVS_CHECK(py::isinstance<py::tuple>(item) && py::len(item) == length, ErrorKind::kValue,
             "[program] expected a tuple of ", length, " as ", what, ", got ",
             py::repr(item).cast<std::string>());
  return py::reinterpret_borrow<py::tuple>(item);
}

std::vector<UniqueSpec> read_uniques(const py::sequence& items) {
  std::vector<UniqueSpec> uniques;
  for (const py::handle item : items) {
    const py::tuple fields = read_tuple(item, 4, "a unique");
    uniques.push_back({fields[0].cast<std::string>(), fields[1].cast<int>(),
                       parse_space(fields[2].cast<std::string>(), {}), fields[3].cast<int64_t>()});
  }
  return uniques;
}

ValueSpec read_value(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 9, "a value");
  ValueSpec value;
  value.name = fields[0].cast<std::string>();
  value.space = parse_space(fields[1].cast<std::string>(), program.uniques);
  value.size = fields[2].cast<int64_t>();
  value.dtype = parse_value_dtype(fields[3].cast<std::string>(), program.dtype);
  value.role = parse_role(fields[4].cast<std::string>());
  value.index = fields[5].cast<int>();
  value.base = fields[6].cast<int>();
  value.column = fields[7].cast<int64_t>();
  value.constant = fields[8].cast<double>();
  return value;
}

Instruction read_instruction(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 7, "an instruction");
  Instruction instruction;
  instruction.kernel = fields[0].cast<std::string>();
  instruction.inputs = fields[1].cast<std::vector<int>>();
  instruction.outputs = fields[2].cast<std::vector<int>>();
  for (const auto& table : fields[3].cast<std::vector<std::string>>()) {
    instruction.tables.push_back(parse_table(table, program.uniques));
  }
  instruction.ints = fields[4].cast<std::vector<int64_t>>();
  instruction.floats = fields[5].cast<std::vector<double>>();
  instruction.space = parse_space(fields[6].cast<std::string>(), program.uniques);
  return instruction;
}

Segment read_segment(py::handle item, const Program& program) {
  const py::tuple fields = read_tuple(item, 3, "a segment");
  Segment segment;
  segment.kind = parse_segment_kind(fields[0].cast<std::string>());
  segment.space = parse_space(fields[1].cast<std::string>(), program.uniques);
  for (const py::handle instruction : fields[2]) {
    segment.instructions.push_back(read_instruction(instruction, program));
  }
  return segment;
}

PyProgram make_program(const std::string& dtype, const py::sequence& values,
                       const py::sequence& segments, const py::sequence& uniques,
                       std::vector<int> saved, const PyProgram* forward,
                       const std::string& device) {
  Program program;
  program.dtype = parse_dtype(dtype);
  program.device = parse_device(device);
  program.uniques = read_uniques(uniques);
  for (const py::handle value : values) program.values.push_back(read_value(value, program));
  for (const py::handle segment : segments) {
    program.segments.push_back(read_segment(segment, program));
  }
  program.saved = std::move(saved);
  return {make_executable(std::move(program), forward != nullptr ? forward->exe : nullptr)};
}

// ---- Arrays

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr char kForeignOrder = '>';
#else
constexpr char kForeignOrder = '<';
#endif

ExternalArray read_array(py::handle item, const char* list, size_t position, bool written) {
  CAVS_CHECK(py::isinstance<py::array>(item), ErrorKind::kShape,
             "[runtime] expected a NumPy array as ", list, " ", position, ", got ",
             py::repr(py::type::of(item)).cast<std::string>());
  const auto array = py::reinterpret_borrow<py::array>(item);
  const py::dtype dtype = array.dtype();
  const char kind = dtype.kind();
  const auto bytes = array.itemsize();
  ExternalArray result;
  if (kind == 'f' && bytes == 4) {
    result.dtype = DType::kFloat32;
  } else if (kind == 'f' && bytes == 8) {
    result.dtype = DType::kFloat64;
  } else if (kind == 'i' && bytes == 4) {
    result.dtype = DType::kInt32;
  } else {
    fail(ErrorKind::kShape, "[runtime] expected float32, float64 or int32 as ", list, " ", position,
         ", got ", py::str(dtype).cast<std::string>(), "; convert the array");
  }
  const bool dense = (array.flags() & py::array::c_style) != 0;
  const bool aligned = reinterpret_cast<uintptr_t>(array.data()) % static_cast<size_t>(bytes) == 0;
  const bool native = dtype.byteorder() != kForeignOrder;
  CAVS_CHECK(dense && aligned && native, ErrorKind::kShape,
             "[runtime] expected a C-contiguous, aligned array in native byte order as ", list, " ",
             position, ", got another layout; use numpy.ascontiguousarray");
  CAVS_CHECK(!written || array.writeable(), ErrorKind::kShape,
             "[runtime] expected a writeable array as ", list, " ", position,
             ", got a read-only one");
  result.data = const_cast<void*>(array.data());
  result.elements = array.size();
  return result;
}

std::vector<ExternalArray> read_arrays(const py::sequence& items, const char* list, bool written) {
  std::vector<ExternalArray> arrays;
  arrays.reserve(py::len(items));
  for (const py::handle item : items) {
    arrays.push_back(read_array(item, list, arrays.size(), written));
  }
  return arrays;
}

// ---- Runs

// What Python calls _core.Run: keeps alive what the native run points at.
class PyRun {
 public:
  PyRun(const PyProgram& program, py::object schedule,
        const py::array_t<int64_t, py::array::c_style>& graph_keys, uint64_t seed, uint64_t step,
        bool training, bool keep)
      : schedule_(std::move(schedule)),
        native_schedule_(schedule_.cast<const Schedule&>()),
        run_(program.exe, native_schedule_,
             std::vector<int64_t>(graph_keys.data(), graph_keys.data() + graph_keys.size()),
             random(seed, step, training), keep) {}

  void forward(const py::sequence& params, const py::sequence& inputs, const py::sequence& outputs,
               int num_threads, const std::vector<int64_t>& versions) {
    const Turn turn(this);
    const ArrayLists arrays = read_lists(params, inputs, outputs, versions);
    // Owned here, because the caller's lists may change while the interpreter runs other threads.
    auto alive = py::make_tuple(py::tuple(params), py::tuple(inputs), py::tuple(outputs));
    {
      const py::gil_scoped_release release;
      run_.forward(arrays, num_threads);
    }
    keep_alive_ = std::move(alive);  // backward reads them again
  }

  void backward(const PyProgram& program, const py::sequence& params, const py::sequence& inputs,
                const py::sequence& outputs, int num_threads,
                const std::vector<int64_t>& versions) {
    const Turn turn(this);
    const ArrayLists arrays = read_lists(params, inputs, outputs, versions);
    const auto alive = py::make_tuple(py::tuple(params), py::tuple(inputs), py::tuple(outputs));
    {
      const py::gil_scoped_release release;
      run_.backward(program.exe, arrays, num_threads);
    }
    keep_alive_ =
        py::none();  // a later reader of the parameters can tell that nobody else holds them
  }

  int64_t rows(const std::string& space) {
    const Turn turn(this);
    return run_.rows(parse_space(space, run_.executable().program.uniques));
  }

  int64_t peak_bytes() const { return run_.peak_bytes(); }
  bool profile() const { return run_.profile(); }
  void set_profile(bool enabled) {
    const Turn turn(this);
    run_.set_profile(enabled);
  }

  py::list profile_records() {
    const Turn turn(this);
    py::list records;
    for (const ProfileRecord& record : run_.profile_records()) {
      records.append(py::make_tuple(record.backward ? "backward" : "forward", record.segment,
                                    record.instruction, record.kernel, record.sum.calls,
                                    record.sum.rows, record.sum.ns));
    }
    return records;
  }

  py::list profile_phases() {
    const Turn turn(this);
    py::list phases;
    for (const PhaseProfile& phase : run_.profile_phases()) {
      py::list threads;
      for (const PhaseProfile::Thread& thread : phase.threads) {
        threads.append(
            py::dict(py::arg("kernels") = thread.kernels, py::arg("packing") = thread.packing,
                     py::arg("waiting") = thread.waiting, py::arg("walking") = thread.walking));
      }
      phases.append(py::dict(py::arg("direction") = phase.backward ? "backward" : "forward",
                             py::arg("ids") = phase.ids, py::arg("plan") = phase.plan,
                             py::arg("bind") = phase.bind, py::arg("walk") = phase.walk,
                             py::arg("threads") = threads));
    }
    return phases;
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

  static RandomContext random(uint64_t seed, uint64_t step, bool training) {
    RandomContext context;
    context.seed = seed;
    context.step = step;
    context.training = training;
    return context;
  }

  static ArrayLists read_lists(const py::sequence& params, const py::sequence& inputs,
                               const py::sequence& outputs, const std::vector<int64_t>& versions) {
    ArrayLists lists = {read_arrays(params, "parameter", false),
                        read_arrays(inputs, "input", false), read_arrays(outputs, "output", true)};
    CAVS_CHECK(versions.empty() || versions.size() == lists.params.size(), ErrorKind::kShape,
               "[runtime] expected a version for each of ", lists.params.size(),
               " parameters, got ", versions.size());
    for (size_t i = 0; i < versions.size(); ++i) lists.params[i].version = versions[i];
    return lists;
  }

  const py::object schedule_;
  const Schedule& native_schedule_;
  py::object keep_alive_;
  std::atomic<bool> busy_{false};
  Run run_;
};

}  // namespace

void bind_runtime(py::module_& m) {
  py::class_<PyProgram>(m, "Program")
      .def(py::init(&make_program), py::arg("dtype"), py::arg("values"), py::arg("segments"),
           py::arg("uniques"), py::arg("saved"), py::arg("forward").none(true) = py::none(),
           py::arg("device") = "cpu");

  py::class_<PyRun>(m, "Run")
      .def(py::init<const PyProgram&, py::object, const py::array_t<int64_t, py::array::c_style>&,
                    uint64_t, uint64_t, bool, bool>(),
           py::arg("program"), py::arg("schedule"), py::arg("graph_keys"), py::arg("seed"),
           py::arg("step"), py::arg("training"), py::arg("keep"))
      .def("forward", &PyRun::forward, py::arg("params"), py::arg("inputs"), py::arg("outputs"),
           py::arg("num_threads"), py::arg("versions") = std::vector<int64_t>())
      .def("backward", &PyRun::backward, py::arg("program"), py::arg("params"), py::arg("inputs"),
           py::arg("outputs"), py::arg("num_threads"), py::arg("versions") = std::vector<int64_t>())
      .def("rows", &PyRun::rows, py::arg("space"))
      .def_property_readonly("peak_bytes", &PyRun::peak_bytes)
      .def_property("profile", &PyRun::profile, &PyRun::set_profile)
      .def("profile_records", &PyRun::profile_records,
           "(direction, segment, instruction, kernel, calls, rows, ns) of each instruction, summed "
           "over the threads.")
      .def("profile_phases", &PyRun::profile_phases,
           "Nanoseconds of each direction: ids, plan, bind, walk, and of its threads.");
}

}  // namespace cavs
