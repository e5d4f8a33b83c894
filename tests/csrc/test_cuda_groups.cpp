// Printed groups against the CPU's interpreter: the same bits in float32.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/groups/group_program.h"
#include "cpu/kernel.h"
#include "cuda/code/group_source.h"
#include "cuda/code/kernel_texts.h"
#include "cuda_arrays.h"

using namespace cavs;
using cavs_test::DeviceArray;

namespace {

using Engine = std::mt19937;

int pick(Engine& engine, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(engine);
}

bool chance(Engine& engine, int percent) { return pick(engine, 1, 100) <= percent; }

// Numbers of all kinds: ordinary ones, and one in eight at the edge of some range.
template <class T>
T random_number(Engine& engine) {
  using Limits = std::numeric_limits<T>;
  const T edges[] = {T(0),
                     T(-0.0),
                     T(1),
                     T(-1),
                     Limits::infinity(),
                     -Limits::infinity(),
                     Limits::quiet_NaN(),
                     Limits::min(),
                     Limits::denorm_min(),
                     Limits::max(),
                     -Limits::max(),
                     T(0.5)};
  if (pick(engine, 0, 7) == 0) return edges[pick(engine, 0, 11)];
  return static_cast<T>(std::normal_distribution<double>(0, 3)(engine));
}

// An array of a value's rows, which begins `offset` elements after an aligned address.
template <class T>
struct Rows {
  std::vector<T> host;
  int ld = 0, size = 0, offset = 0;
  std::unique_ptr<DeviceArray<T>> device;

  Operand on_host() { return {host.data(), ld, size, false, nullptr}; }
  cuda::Operand on_device() const { return {device->data(), ld, size}; }
};

struct HostTable {
  std::vector<int> index, ptr, list, part;
  std::vector<std::unique_ptr<DeviceArray<int>>> device;
  IndexTable on_host;
  cuda::Table on_device;

  void upload(const cuda::Stream& stream) {
    const auto put = [&](const std::vector<int>& array, const int** host, const int** there) {
      if (array.empty()) return;
      device.push_back(std::make_unique<DeviceArray<int>>(stream, array));
      *host = array.data();
      *there = device.back()->data();
    };
    put(index, &on_host.index, &on_device.index);
    put(ptr, &on_host.ptr, &on_device.ptr);
    put(list, &on_host.list, &on_device.list);
    put(part, &on_host.part, &on_device.part);
  }
};

template <class T>
struct Case {
  Group group;
  int rows = 0, begin = 0;  // of the driving space; the first that is computed
  int in_place = -1;        // the input whose memory the first output takes
  std::vector<Rows<T>> inputs, outputs;
  std::vector<HostTable> tables;
  cuda::GroupKernel kernel;
};

constexpr DType dtype_of(float) { return DType::kFloat32; }
constexpr DType dtype_of(double) { return DType::kFloat64; }

template <class T>
Rows<T> random_rows(Engine& engine, int rows, int size, bool shared) {
  Rows<T> made;
  made.size = size;
  made.ld = shared ? 0 : chance(engine, 75) ? (size + 15) / 16 * 16 : size + pick(engine, 0, 3);
  made.offset = chance(engine, 30) ? pick(engine, 1, 3) : 0;
  made.host.resize(static_cast<size_t>(shared ? size : rows * made.ld));
  for (T& x : made.host) x = random_number<T>(engine);
  return made;
}

template <class T>
void add_input(Engine& engine, Case<T>* made) {
  GroupInput input;
  input.read = static_cast<Read>(pick(engine, 0, 3));
  input.narrow = chance(engine, 20);
  const int size = input.narrow ? 1 : static_cast<int>(made->group.width);
  const int named_rows = input.read == Read::kRow ? made->rows : pick(engine, 1, 12);
  HostTable table;
  int parts = 1, positions = named_rows;
  if (input.read == Read::kIndexed) {
    for (int r = 0; r < made->rows; ++r) table.index.push_back(pick(engine, -1, named_rows - 1));
  }
  if (input.read == Read::kListSum) {
    const bool list = chance(engine, 70);
    if (list && chance(engine, 40)) parts = 3;
    if (list) positions = pick(engine, 1, 5 * made->rows);
    for (int i = 0; list && i < positions; ++i) {
      table.list.push_back(pick(engine, 0, named_rows - 1));
      if (parts > 1) table.part.push_back(pick(engine, 0, parts - 1));
    }
    int at = 0;
    for (int r = 0; r <= made->rows; ++r) {
      table.ptr.push_back(at);
      at = std::min(positions, at + pick(engine, 0, 7));
    }
  }
  made->group.inputs.push_back(input);
  Rows<T> rows = random_rows<T>(engine, named_rows, size * parts, input.read == Read::kShared);
  rows.size = size;
  made->inputs.push_back(std::move(rows));
  made->tables.push_back(std::move(table));
}

// The first operation is `op`, further ones are among `ops`; every argument is one that has been
// made before.
template <class T>
Case<T> random_case(Engine& engine, int op, const std::vector<int>& ops, int num_calls) {
  Case<T> made;
  const int widths[] = {1, 2, 4, 8, 16, 64, 256};
  made.group.width = chance(engine, 60) ? pick(engine, 1, 70) : widths[pick(engine, 0, 6)];
  made.rows = pick(engine, 1, 9);
  made.begin = pick(engine, 0, made.rows - 1);
  const int inputs = pick(engine, 1, 4), constants = pick(engine, 0, 2);
  for (int i = 0; i < inputs; ++i) add_input(engine, &made);
  for (int i = 0; i < constants; ++i) made.group.constants.push_back(random_number<T>(engine));
  for (int i = 0; i < num_calls; ++i) {
    ScalarCall call;
    call.op =
        i == 0 ? op : ops[static_cast<size_t>(pick(engine, 0, static_cast<int>(ops.size()) - 1))];
    for (int k = 0; k < scalar_op_arity(call.op); ++k) {
      call.arguments[static_cast<size_t>(k)] = pick(engine, 0, made.group.first_call() + i - 1);
    }
    made.group.calls.push_back(call);
  }
  for (int j = pick(engine, 0, 2); j >= 0; --j) {
    const int call = j == 0 ? num_calls - 1 : pick(engine, 0, num_calls - 1);
    made.group.outputs.push_back(made.group.first_call() + call);
    made.outputs.push_back(
        random_rows<T>(engine, made.rows, static_cast<int>(made.group.width), false));
  }
  for (int i = 0; i < inputs; ++i) {
    const GroupInput& input = made.group.inputs[static_cast<size_t>(i)];
    if (input.read != Read::kRow || input.narrow || !chance(engine, 40)) continue;
    made.in_place = i;
    made.outputs[0].ld = made.inputs[static_cast<size_t>(i)].ld;
    made.outputs[0].host = made.inputs[static_cast<size_t>(i)].host;
  }
  CHECK(wrong_group(made.group) == nullptr);
  return made;
}

template <class T>
void print(const std::string& name, Case<T>* made) {
  std::vector<cuda::GroupOperand> operands;
  for (size_t i = 0; i < made->inputs.size(); ++i) {
    const HostTable& table = made->tables[i];
    operands.push_back({made->inputs[i].ld, !table.list.empty(), !table.part.empty()});
  }
  std::vector<int> lds;
  for (const auto& output : made->outputs) lds.push_back(output.ld);
  made->kernel = cuda::print_group(name, made->group, dtype_of(T()), operands, lds);
}

cuda::KernelSource source_of(const std::string& groups, DType dtype) {
  cuda::KernelSource source;
  source.name = "groups.cu";
  source.text = cuda::group_prelude() + groups;
  source.headers = cuda::kernel_headers();
  source.options = {dtype == DType::kFloat32 ? "-DCAVS_REAL=float" : "-DCAVS_REAL=double"};
  return source;
}

template <class T>
void upload(const cuda::Stream& stream, Case<T>* made) {
  for (auto* list : {&made->inputs, &made->outputs}) {
    for (auto& rows : *list) {
      rows.device =
          std::make_unique<DeviceArray<T>>(stream, rows.host, static_cast<size_t>(rows.offset));
    }
  }
  for (HostTable& table : made->tables) table.upload(stream);
}

template <class T>
void run_on_host(Case<T>* made) {
  const auto program = prepare_group(made->group, false);
  std::vector<Operand> in, out;
  for (auto& rows : made->inputs) in.push_back(rows.on_host());
  for (auto& rows : made->outputs) out.push_back(rows.on_host());
  std::vector<IndexTable> tables;
  for (const HostTable& table : made->tables) tables.push_back(table.on_host);
  std::vector<char> scratch(kScratchBytes + 64);
  KernelCall call;
  call.in = in.data();
  call.num_in = static_cast<int>(in.size());
  call.out = out.data();
  call.num_out = static_cast<int>(out.size());
  call.attributes = program.get();
  call.row_begin = made->begin;
  call.row_end = made->rows;
  call.tables = tables.data();
  call.scratch = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) & ~63);
  find_kernel(dtype_of(T()), "fused")(call);
}

template <class T>
void run_on_device(Case<T>* made, const cuda::Kernel& kernel, const cuda::Stream& stream,
                   unsigned blocks) {
  std::vector<cuda::Operand> in, out;
  for (const auto& rows : made->inputs) in.push_back(rows.on_device());
  for (const auto& rows : made->outputs) out.push_back(rows.on_device());
  if (made->in_place >= 0) out[0].data = in[static_cast<size_t>(made->in_place)].data;
  std::vector<cuda::Table> tables;
  for (const HostTable& table : made->tables) tables.push_back(table.on_device);
  cuda::DeviceCall call;
  call.in = in.data();
  call.out = out.data();
  call.tables = tables.data();
  call.rows = {made->begin, made->rows};
  if (blocks == 0) {
    launch_group(made->kernel, kernel, stream, call);
  } else {
    const auto arguments = group_arguments(made->kernel, call);
    kernel.launch(stream, {blocks, 32, 0},
                  cuda::Argument{arguments.data(), arguments.size() * sizeof(arguments[0])},
                  call.rows);
  }
}

// Bits, but for NaN, whose bits differ from device to device.
template <class T>
bool same(T a, T b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof(T)) == 0;
}

// Within some units of the larger one's last place.
template <class T>
bool close(T a, T b, double units) {
  if (same(a, b) || a == b) return true;
  const double larger = std::max(std::fabs(a), std::fabs(b));
  const double unit = std::max(larger * std::numeric_limits<T>::epsilon(),
                               double{std::numeric_limits<T>::denorm_min()});
  return std::fabs(a - b) <= units * unit;
}

// Elements beside the group's rows stay as they were: whole arrays are compared.
template <class T, class Equal>
void check_case(const Case<T>& made, int number, const Equal& equal) {
  for (size_t j = 0; j < made.outputs.size(); ++j) {
    const auto& device = j == 0 && made.in_place >= 0
                             ? made.inputs[static_cast<size_t>(made.in_place)].device
                             : made.outputs[j].device;
    const std::vector<T> expected = made.outputs[j].host, got = device->read();
    for (size_t i = 0; i < expected.size(); ++i) {
      if (equal(expected[i], got[i])) continue;
      cavs_test::report(__FILE__, __LINE__,
                        "output " + std::to_string(j) + " of group " + std::to_string(number) +
                            ", element " + std::to_string(i) + ": " + std::to_string(expected[i]) +
                            " and " + std::to_string(got[i]) + "\n" + made.kernel.text);
      break;
    }
  }
}

std::vector<int> all_ops() {
  std::vector<int> ops;
  for (size_t op = 0; op < scalar_op_names().size(); ++op) ops.push_back(static_cast<int>(op));
  return ops;
}

struct Counts {
  int wide = 0, in_place = 0;
};

template <class T>
cuda::KernelSource print_cases(std::vector<Case<T>>* cases) {
  std::string text;
  for (size_t i = 0; i < cases->size(); ++i) {
    print("group" + std::to_string(i), &(*cases)[i]);
    text += (*cases)[i].kernel.text;
  }
  return source_of(text, dtype_of(T()));
}

// Runs all cases on both sides, from one module; every fourth by itself, others with few blocks.
template <class T, class Equal>
Counts run_cases(std::vector<Case<T>>* cases, const Equal& equal) {
  cuda::OpenGpu& open = cuda::open_gpu(0);
  const auto module = open.cache.load(print_cases(cases), open.gpu);
  Counts counts;
  for (size_t i = 0; i < cases->size(); ++i) {
    Case<T>& made = (*cases)[i];
    counts.wide += made.kernel.columns > 1 ? 1 : 0;
    counts.in_place += made.in_place >= 0 ? 1 : 0;
    upload(open.stream, &made);
    run_on_host(&made);
    run_on_device(&made, module->kernel(made.kernel.kernel_name()), open.stream,
                  static_cast<unsigned>(i % 4));
    check_case(made, static_cast<int>(i), equal);
  }
  return counts;
}

std::vector<Case<float>> float_cases() {
  Engine engine(11);
  const std::vector<int> ops = all_ops();
  std::vector<Case<float>> cases;
  for (size_t i = 0; i < 8 * ops.size(); ++i) {
    cases.push_back(random_case<float>(engine, ops[i % ops.size()], ops, pick(engine, 1, 6)));
  }
  return cases;
}

void test_float_groups_have_the_bits_of_the_cpu() {
  std::vector<Case<float>> cases = float_cases();
  const Counts counts = run_cases(&cases, same<float>);
  CHECK(counts.wide > 20 && counts.in_place > 20);
}

// Operations of one rounding, or none.
void test_double_groups_have_the_bits_of_the_cpu() {
  std::vector<int> ops;
  for (const char* name :
       {"add", "sub", "mul", "div", "neg", "sqrt", "square", "abs", "relu", "where", "minimum",
        "less", "greater_equal", "equal", "sign", "reciprocal", "greater", "maximum", "identity"}) {
    ops.push_back(scalar_opcode(name));
  }
  Engine engine(12);
  std::vector<Case<double>> cases;
  for (size_t i = 0; i < 3 * ops.size(); ++i) {
    cases.push_back(random_case<double>(engine, ops[i % ops.size()], ops, pick(engine, 1, 6)));
  }
  const Counts counts = run_cases(&cases, same<double>);
  CHECK(counts.wide > 5 && counts.in_place > 5);
}

std::vector<Case<double>> double_cases() {
  Engine engine(13);
  std::vector<Case<double>> cases;
  for (const int op : all_ops()) {
    // 1 - b * b loses digits, and the CPU may round it once.
    if (scalar_op_names()[static_cast<size_t>(op)] == "tanh_grad") continue;
    for (int i = 0; i < 2; ++i) cases.push_back(random_case<double>(engine, op, {op}, 1));
  }
  return cases;
}

void test_double_operations_are_close_to_the_cpu() {
  std::vector<Case<double>> cases = double_cases();
  run_cases(&cases, [](double a, double b) { return close(a, b, 4); });
}

// What is wrong with a call of a group of 8 rows, in which `change` changes something.
template <class Change>
std::string complaint(const Change& change) {
  Group group;
  group.width = 4;
  group.inputs = {{Read::kRow, false}, {Read::kListSum, false}};
  group.calls = {{scalar_opcode("add"), {0, 1, -1}}};
  group.outputs = {2};
  const auto kernel = cuda::print_group("sum", group, DType::kFloat32, {{8}, {8, true}}, {8});
  std::vector<float> memory(256);
  const std::vector<int> places(9);
  std::vector<cuda::Operand> in = {{memory.data(), 8, 4}, {memory.data(), 8, 4}};
  std::vector<cuda::Operand> out = {{memory.data() + 128, 8, 4}};
  std::vector<cuda::Table> tables(2);
  tables[1].ptr = tables[1].list = places.data();
  change(&in[0], &out[0], &tables[1]);
  cuda::DeviceCall call;
  call.rows = {0, 8};
  call.in = in.data();
  call.out = out.data();
  call.tables = tables.data();
  try {
    return std::to_string(group_arguments(kernel, call).size()) + " pointers";
  } catch (const Error& error) {
    return error.what();
  }
}

void check_refused(const std::string& got, const std::string& expected) {
  if (got.find(expected) != std::string::npos) return;
  cavs_test::report(__FILE__, __LINE__, "expected " + expected + ", got " + got);
}

void test_calls_other_than_printed_are_refused() {
  using In = cuda::Operand*;
  using Lists = cuda::Table*;
  check_refused(complaint([](In in, In, Lists) { in->ld = 4; }), "rows of the same distance");
  check_refused(complaint([](In, In out, Lists) { out->ld = 4; }), "rows of the same distance");
  check_refused(complaint([](In, In, Lists table) { table->list = nullptr; }), "arrays of a table");
  check_refused(complaint([](In, In, Lists table) { table->part = table->ptr; }),
                "arrays of a table");
  const auto moved = [](int elements) {
    return complaint(
        [elements](In in, In out, Lists) { out->data = static_cast<float*>(in->data) + elements; });
  };
  for (const int elements : {2, -3, 8, -8, 57}) {
    check_refused(moved(elements), "element on element");
  }
  // The same elements, other columns, rows before and behind.
  for (const int elements : {0, 4, -4, 12, 64, -64, 100}) {
    check_refused(moved(elements), "5 pointers");
  }
}

void test_too_many_operands_are_refused() {
  Group group;
  group.inputs.resize(600);
  for (int i = 0; i + 1 < 600; ++i) group.calls.push_back({scalar_opcode("add"), {i, i + 1, -1}});
  group.outputs = {600};
  CHECK_THROWS(cuda::print_group("many", group, DType::kFloat32,
                                 std::vector<cuda::GroupOperand>(600, {1}), {1}),
               Error, "at most 500 operands and tables");
}

// With the architectures of GPUs as arguments ("sm_90"): whether NVRTC compiles printed groups for
// them, which needs no GPU.
void check_compiles(const std::string& architecture) {
  auto singles = float_cases();
  auto doubles = double_cases();
  CHECK(!cuda::compile(print_cases(&singles), architecture).empty());
  CHECK(!cuda::compile(print_cases(&doubles), architecture).empty());
}

}  // namespace

int main(int count, char** arguments) {
  for (int i = 1; i < count; ++i) check_compiles(arguments[i]);
  if (count > 1) return cavs_test::result();
  test_float_groups_have_the_bits_of_the_cpu();
  test_double_groups_have_the_bits_of_the_cpu();
  test_double_operations_are_close_to_the_cpu();
  test_calls_other_than_printed_are_refused();
  test_too_many_operands_are_refused();
  return cavs_test::result();
}
