// Gives Python the kernels' names, the BLAS library and threads, and for tests a call of one
// kernel.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/denormals.h"
#include "base/error.h"
#include "base/isa.h"
#include "base/matmul_precision.h"
#include "base/thread_pool.h"
#include "bindings/array.h"
#include "bindings/attributes.h"
#include "bindings/bindings.h"
#include "bindings/kernel_checks.h"
#include "bindings/read.h"
#include "bindings/unlocked.h"
#include "cpu/groups/group_code.h"
#include "cpu/kernel.h"
#include "cpu/kernels/blas.h"
#include "memory/allocator.h"
#include "program/kernels.h"

namespace py = pybind11;

namespace cavs {
namespace {

int64_t item_size_of(const py::array& array) {
  CAVS_CHECK(array.dtype().kind() == 'f' || array.dtype().kind() == 'i', ErrorKind::kValue,
             "[kernels] expected arrays of float32, float64 or int32, got ",
             std::string(py::str(array.dtype())), "; convert it");
  return static_cast<int64_t>(array.itemsize());
}

// A (rows, size) array is an operand with rows, whatever its row stride; a (size) array has none.
Operand operand_of(const py::array& array, bool padded) {
  const int64_t item = item_size_of(array);
  Operand operand;
  operand.data = const_cast<void*>(array.data());
  operand.padded = padded;
  CAVS_CHECK(array.ndim() == 1 || array.ndim() == 2, ErrorKind::kShape,
             "[kernels] expected arrays of 1 or 2 dimensions, got ", array.ndim(),
             "; flatten the features");
  const int last = static_cast<int>(array.ndim()) - 1;
  operand.size = array.shape(last);
  CAVS_CHECK(array.size() == 0 || operand.size == 1 || array.strides(last) == item,
             ErrorKind::kShape, "[kernels] expected contiguous rows, got a stride of ",
             array.strides(last), " bytes; copy the array");
  if (array.ndim() == 2) {
    CAVS_CHECK(array.strides(0) % item == 0, ErrorKind::kShape,
               "[kernels] expected a row stride in whole elements, got ", array.strides(0),
               " bytes; copy the array");
    operand.ld = array.strides(0) / item;
  }
  return operand;
}

// Keeps the converted arrays of dictionaries alive during the call.
class ArrayHolder {
 public:
  template <class T>
  py::array_t<T> take(const py::dict& fields, const char* key) {
    if (!fields.contains(key) || fields[key].is_none()) return py::array_t<T>();
    auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(fields[key]);
    if (!array) throw py::error_already_set();
    arrays_.push_back(array);
    return array;
  }

  IndexArray take_index(const py::dict& fields, const char* key) {
    if (!fields.contains(key) || fields[key].is_none()) return {};
    const auto array = take<int32_t>(fields, key);
    return {array.data(), array.size()};
  }

 private:
  std::vector<py::object> arrays_;
};

struct Scratch {
  explicit Scratch(int64_t bytes) : storage(new char[static_cast<size_t>(bytes) + 64]) {
    auto address = reinterpret_cast<uintptr_t>(storage.get());
    data = storage.get() + (64 - address % 64) % 64;
  }
  std::unique_ptr<char[]> storage;
  char* data;
};

template <class T>
void read_field(const py::dict& fields, const char* key, const char* what, T* value) {
  if (fields.contains(key)) *value = read_as<T>(fields[key], "kernels", what);
}

RandomContext random_of(const py::dict& fields, ArrayHolder* holder, CheckedRandom* checked) {
  RandomContext random;
  read_field(fields, "seed", "a number of 64 bits as seed", &random.seed);
  read_field(fields, "step", "a number of 64 bits as step", &random.step);
  read_field(fields, "training", "a truth value as training", &random.training);
  const auto keys = holder->take<int64_t>(fields, "graph_key");
  checked->graph_key = random.graph_key = keys.data();
  checked->num_graphs = keys.size();
  checked->training = random.training;
  checked->vertex_graph = holder->take_index(fields, "vertex_graph");
  checked->vertex_local = holder->take_index(fields, "vertex_local");
  checked->edge_graph = holder->take_index(fields, "edge_graph");
  checked->edge_local = holder->take_index(fields, "edge_local");
  random.vertex_graph = checked->vertex_graph.data;
  random.vertex_local = checked->vertex_local.data;
  random.edges = {{checked->edge_graph.data, checked->edge_local.data}};
  return random;
}

std::vector<Operand> operands_of(const std::vector<py::array>& arrays,
                                 const std::vector<bool>& padded, size_t first) {
  std::vector<Operand> operands;
  for (size_t i = 0; i < arrays.size(); ++i) {
    operands.push_back(operand_of(arrays[i], first + i < padded.size() && padded[first + i]));
  }
  return operands;
}

// Gives operand `position` of "matmul", a weight, its panels. Three parts make them, as three
// threads would.
std::unique_ptr<Block> pack_operand(int position, DType dtype, const Attributes& attributes,
                                    std::vector<Operand>* in) {
  if (position < 0) return nullptr;
  CAVS_CHECK(position < 2 && (*in)[static_cast<size_t>(position)].ld == 0, ErrorKind::kValue,
             "[kernels] expected operand 0 or 1 of matmul, without rows, to pack, got ", position,
             "; pack operand 0 or 1");
  const MatmulAttributes& product = *product_of(attributes);
  const bool transposed = position == 1 ? product.tb : !product.ta;
  const int64_t k = product.k, n = position == 1 ? product.n : product.m;
  auto panels = std::make_unique<Block>(host_allocator(), packed_weight_bytes(dtype, k, n));
  Operand& weight = (*in)[static_cast<size_t>(position)];
  for (int part = 0; part < 3; ++part) {
    pack_weight(dtype, transposed, k, n, weight.data, panels->data(), part, 3);
  }
  weight.packed = panels->data();
  return panels;
}

// The group, prepared to run; with `compile` as machine code.
std::shared_ptr<const GroupProgram> group_of(const Attributes& attributes, bool compile) {
  const auto* group = std::get_if<Group>(&attributes);
  if (group == nullptr) return nullptr;
  std::shared_ptr<const GroupProgram> program = prepare_group(*group, compile);
  CAVS_CHECK(!compile || program->code != nullptr, ErrorKind::kRuntime,
             "[kernels] expected a group that can be compiled here, got rows of ", group->width,
             " elements; see can_compile_groups()");
  return program;
}

const void* address_of(const Attributes& attributes) {
  return std::visit([](const auto& each) -> const void* { return &each; }, attributes);
}

py::bytes assemble(const py::dict& group, bool wide) {
  const Attributes attributes = read_attributes(kernel_named("fused"), group);
  const Group& read = std::get<Group>(attributes);
  const char* expected = wrong_group(read);
  CAVS_CHECK(expected == nullptr, ErrorKind::kValue, "[kernels] expected ", expected,
             " in a group, got other attributes; correct the group");
  CAVS_CHECK(read.width >= 16, ErrorKind::kValue,
             "[kernels] expected rows of 16 elements or more to compile, got ", read.width,
             "; interpret shorter ones");
  const std::vector<uint8_t> code = assemble_group(read, wide);
  return {reinterpret_cast<const char*>(code.data()), code.size()};
}

void call_kernel(const std::string& name, DType dtype, const std::vector<py::array>& inputs,
                 const std::vector<py::array>& outputs, const py::dict& attributes,
                 const std::vector<py::dict>& tables, std::pair<int64_t, int64_t> rows,
                 const py::dict& random, const std::vector<bool>& padded, SpaceKind space,
                 int thread, int num_threads, int repeat, int packed, bool compile) {
  DirectCall direct{kernel_named(name), dtype, inputs, outputs, padded, {}, space, {}, {}, rows};
  const KernelFunction function = find_kernel(dtype, name);
  CAVS_CHECK(function != nullptr, ErrorKind::kValue, "[kernels] expected a dtype of floats, got ",
             dtype_name(dtype), "; pass float32 or float64");
  direct.attributes = read_attributes(direct.kernel, attributes);
  for (const py::array& output : outputs) {
    CAVS_CHECK(output.writeable(), ErrorKind::kValue,
               "[kernels] expected writable outputs, got a read-only array; copy it");
  }
  std::vector<Operand> in = operands_of(inputs, padded, 0);
  const std::vector<Operand> out = operands_of(outputs, padded, inputs.size());
  ArrayHolder holder;
  std::vector<IndexTable> index_tables;
  for (const py::dict& fields : tables) {
    direct.tables.push_back({holder.take_index(fields, "index"), holder.take_index(fields, "ptr"),
                             holder.take_index(fields, "list"), holder.take_index(fields, "part")});
    index_tables.push_back(direct.tables.back().table());
  }
  index_tables.resize(std::max(index_tables.size(), inputs.size()));
  const RandomContext context = random_of(random, &holder, &direct.random);
  const Attributes complete = check_call(direct);
  CAVS_CHECK(thread >= 0 && thread < num_threads && num_threads <= 1024, ErrorKind::kValue,
             "[kernels] expected one of 1..1024 threads, got thread ", thread, " of ", num_threads,
             "; correct the thread");
  const bool product = product_of(complete) != nullptr;
  CAVS_CHECK(packed < 0 || (product && direct.kernel->writes != Writes::kSums), ErrorKind::kValue,
             "[kernels] expected a product to pack a weight of, got ", name, "; pack none");
  const bool can_compile = std::holds_alternative<Group>(complete) && dtype == DType::kFloat32;
  CAVS_CHECK(!compile || can_compile, ErrorKind::kValue,
             "[kernels] expected a group of float to compile, got ", name, " of ",
             dtype_name(dtype), "; leave compile out");
  const Scratch scratch(scratch_bytes(dtype, direct.kernel, complete));
  const std::unique_ptr<Block> panels = pack_operand(packed, dtype, complete, &in);
  const std::shared_ptr<const GroupProgram> group = group_of(complete, compile);
  KernelCall call;
  call.in = in.data();
  call.num_in = static_cast<int>(in.size());
  call.out = out.data();
  call.num_out = static_cast<int>(out.size());
  call.attributes = group ? group.get() : address_of(complete);
  call.row_begin = rows.first;
  call.row_end = rows.second;
  call.tables = index_tables.data();
  call.random = &context;
  call.thread = thread;
  call.num_threads = num_threads;
  call.scratch = scratch.data;
  const Unlocked unlocked;
  const DenormalScope scope(dtype);
  for (int i = 0; i < repeat; ++i) function(call);
}

// Operand `position` of an elementwise operation, or its result (-1).
Array operand_array(py::handle value, int64_t position) {
  const bool result = position < 0;
  Array array(value, {"kernels", ErrorKind::kValue, result ? "result" : "operand", position},
              result);
  array.expect_float();
  return array;
}

// One scalar operation on arrays of one size, or of one element, which serves all.
void elementwise(const std::string& name, const std::vector<py::object>& values,
                 const py::object& result) {
  const Array out = operand_array(result, -1);
  Group group;
  ScalarCall scalar;
  scalar.op = scalar_opcode(name);
  CAVS_CHECK(scalar.op >= 0 && scalar_op_arity(scalar.op) == static_cast<int>(values.size()),
             ErrorKind::kValue, "[kernels] expected a scalar operation of ", values.size(),
             " operands, got '", name, "'; take one of scalar_ops()");
  std::vector<Array> arrays;
  for (size_t i = 0; i < values.size(); ++i) {
    arrays.push_back(operand_array(values[i], static_cast<int64_t>(i)));
    const Array& array = arrays.back();
    CAVS_CHECK(array.dtype() == out.dtype() && (array.size() == out.size() || array.size() == 1),
               ErrorKind::kShape, "[kernels] expected operands of the result's dtype and ",
               out.size(), " elements, or one, got ", dtype_name(array.dtype()), " of ",
               array.size(), "; convert them");
    array.expect_apart(out);
    group.inputs.push_back({Read::kRow, array.size() != out.size()});
    scalar.arguments[i] = static_cast<int>(i);
  }
  group.calls.push_back(scalar);
  group.outputs.push_back(static_cast<int>(values.size()));
  const KernelFunction function = find_kernel(out.dtype(), "fused");
  const Unlocked unlocked;
  const DenormalScope scope(out.dtype());
  thread_local const Scratch scratch(kScratchBytes);  // a new one would cost more than a short call
  const int64_t item = item_size(out.dtype());
  constexpr int64_t kMost = int64_t{1} << 26;  // elements of a row of a group
  for (int64_t begin = 0; begin < out.size(); begin += kMost) {
    group.width = std::min(kMost, out.size() - begin);
    const auto operand_of = [&](const Array& array) {
      Operand operand;
      const bool narrow = array.size() != out.size();
      operand.data = array.data<char>() + (narrow ? 0 : begin * item);
      operand.size = operand.ld = narrow ? 1 : group.width;
      return operand;
    };
    std::vector<Operand> in;
    for (const Array& array : arrays) in.push_back(operand_of(array));
    const Operand to = operand_of(out);
    const std::vector<IndexTable> tables(in.size());
    const std::shared_ptr<const GroupProgram> program = prepare_group(group, false);
    KernelCall call;
    call.in = in.data();
    call.num_in = static_cast<int>(in.size());
    call.out = &to;
    call.num_out = 1;
    call.attributes = program.get();
    call.row_end = 1;
    call.tables = tables.data();
    call.scratch = scratch.data;
    function(call);
  }
}

// Number of operands of each scalar operation that groups may contain, by name.
py::dict scalar_ops() {
  py::dict arities;
  for (const std::string& name : scalar_op_names()) {
    arities[name.c_str()] = scalar_op_arity(scalar_opcode(name));
  }
  return arities;
}

}  // namespace

void bind_kernels(py::module_& m) {
  m.def("load_blas", &load_blas, py::arg("path"), py::call_guard<Unlocked>(),
        "Loads the CBLAS library at `path`, which matrix products then use. Raises "
        "CavsRuntimeError.");
  m.def("set_blas_path", &set_blas_path, py::arg("path"),
        "The CBLAS library to load when a program with products is made.");
  m.def("blas_loaded", &blas_loaded, "Whether a CBLAS library is loaded.");
  m.def("kernel_names", [] { return kernel_names(); }, "Names of the CPU's kernels.");
  m.def("scalar_ops", &scalar_ops,
        "Number of operands of each scalar operation that a group may contain, by name.");
  m.def("instruction_set", &instruction_set, "\"avx512\", \"avx2\" or \"generic\".");
  m.def("check_isa", &check_isa,
        "Raises InputError where CAVS_ISA names an instruction set that this machine has not.");
  m.def("num_threads", &num_threads, "Threads that native calls use.");
  m.def("set_num_threads", &set_num_threads, py::arg("count"),
        "Sets the threads that native calls use. Raises InputError below 1.");
  m.def("can_flush_denormals", &can_flush_denormals,
        "Whether this machine can take denormals for zero.");
  m.def("flush_denormals", &flush_denormals,
        "Whether native calls in float32 take denormals for zero.");
  m.def("uses_tf32", &uses_tf32, "Whether products of float32 on a GPU may round to TF32.");
  m.def("set_uses_tf32", &set_uses_tf32, py::arg("enabled"), "For all calls from now on.");
  m.def("set_flush_denormals", &set_flush_denormals, py::arg("enabled"),
        "Sets whether native calls in float32 take denormals for zero. Raises CavsRuntimeError for "
        "True where the machine cannot.");
  m.def("available_cores", &available_cores, "Cores that this process may use.");
  m.def("call_kernel", &call_kernel, py::arg("name"), py::arg("dtype"), py::arg("inputs"),
        py::arg("outputs"), py::arg("attributes"), py::arg("tables"), py::arg("rows"),
        py::arg("random") = py::dict(), py::arg("padded") = std::vector<bool>(),
        py::arg("space") = SpaceKind::kVertex, py::arg("thread") = 0, py::arg("num_threads") = 1,
        py::arg("repeat") = 1, py::arg("packed") = -1, py::arg("compile") = false,
        "Runs one kernel on arrays, for tests: (rows, size) arrays have rows, (size) arrays "
        "none. Raises InputError where the kernel would read or write outside of the arrays. "
        "With `compile` a group runs as machine code.");
  m.def("elementwise", &elementwise, py::arg("name"), py::arg("operands"), py::arg("result"),
        "Writes a scalar operation of arrays to `result`: of its size, or of one element, "
        "C-contiguous and of its dtype, which is of floats. Raises InputError, ShapeError.");
  m.def("can_compile_groups", &can_compile_groups,
        "Whether elementwise groups of float32 run as machine code here.");
  m.def("assemble_group", &assemble, py::arg("group"), py::arg("wide"),
        "The machine code of a group, for vectors of 64 bytes or 32; for tests.");
}

}  // namespace cavs
