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
#include "cuda/group_source.h"
#include "cuda/kernel_texts.h"
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
  made.ld = shared ? 0 : chance(engine, 50) ? (size + 15) / 16 * 16 : size + pick(engine, 0, 3);
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

// `op` is among the group's operations; every argument is one that has been made before.
template <class T>
Case<T> random_case(Engine& engine, int op, int num_calls) {
  Case<T> made;
  const int widths[] = {1, 2, 4, 8, 16, 64, 256};
  made.group.width = chance(engine, 60) ? pick(engine, 1, 70) : widths[pick(engine, 0, 6)];
  made.rows = pick(engine, 1, 9);
  made.begin = pick(engine, 0, made.rows - 1);
  const int inputs = pick(engine, 1, 4), constants = pick(engine, 0, 2);
  for (int i = 0; i < inputs; ++i) add_input(engine, &made);
  for (int i = 0; i < constants; ++i) made.group.constants.push_back(random_number<T>(engine));
  const int ops = static_cast<int>(scalar_op_names().size());
  for (int i = 0; i < num_calls; ++i) {
    ScalarCall call;
    call.op = i == 0 ? op : pick(engine, 0, ops - 1);
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
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(T)) != 0) return false;
  }
  return a.size() == b.size();
}

// Elements beside the group's rows stay as they were: whole arrays are compared.
template <class T>
void check_case(const Case<T>& made, int number) {
  for (size_t j = 0; j < made.outputs.size(); ++j) {
    const auto& device = j == 0 && made.in_place >= 0
                             ? made.inputs[static_cast<size_t>(made.in_place)].device
                             : made.outputs[j].device;
    if (same(made.outputs[j].host, device->read())) continue;
    cavs_test::report(__FILE__, __LINE__,
                      "output " + std::to_string(j) + " of group " + std::to_string(number) +
                          ":\n" + made.kernel.text);
  }
}

void test_random_groups_have_the_bits_of_the_cpu() {
  cuda::OpenGpu& open = cuda::open_gpu(0);
  Engine engine(11);
  const int ops = static_cast<int>(scalar_op_names().size());
  std::vector<Case<float>> cases;
  std::string text;
  for (int i = 0; i < 264; ++i) {
    cases.push_back(random_case<float>(engine, i % ops, pick(engine, 1, 6)));
    print("group" + std::to_string(i), &cases.back());
    text += cases.back().kernel.text;
  }
  const auto module = open.cache.load(source_of(text, DType::kFloat32), open.gpu);
  int wide = 0, in_place = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    Case<float>& made = cases[i];
    wide += made.kernel.columns > 1 ? 1 : 0;
    in_place += made.in_place >= 0 ? 1 : 0;
    upload(open.stream, &made);
    run_on_host(&made);
    run_on_device(&made, module->kernel(made.kernel.kernel_name()), open.stream,
                  static_cast<unsigned>(i % 4));
    check_case(made, static_cast<int>(i));
  }
  CHECK(wide > 20 && in_place > 20);
}

}  // namespace

int main() {
  test_random_groups_have_the_bits_of_the_cpu();
  return cavs_test::result();
}
