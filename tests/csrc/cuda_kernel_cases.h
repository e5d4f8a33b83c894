// Calls of the device's kernels over rows, compared with the CPU's on the same operands: random
// shapes, tables and rows. All memory of the outputs is compared, so that nothing else was written.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "base/denormals.h"
#include "check.h"
#include "cpu/kernel.h"
#include "cuda/code/library.h"
#include "cuda/launches/launch.h"
#include "program/kernels.h"

namespace cavs_test {

using namespace cavs;
namespace device = cavs::cuda;

inline std::mt19937 generator(1);

inline int pick(int least, int most) {
  return std::uniform_int_distribution<int>(least, most)(generator);
}
inline bool perhaps(double chance) {
  return std::uniform_real_distribution<>(0, 1)(generator) < chance;
}

// Numbers as they come in log space: some infinite, few NaN, equal ones, zeros of both signs, and
// denormal ones.
template <class T>
T number(bool wild) {
  if (wild && perhaps(0.15)) {
    const T inf = std::numeric_limits<T>::infinity();
    const T denormal = std::numeric_limits<T>::denorm_min() * T(1000);
    const T choice[] = {inf,      -inf,      -inf,
                        T(0),     -T(0),     T(1),
                        denormal, -denormal, std::numeric_limits<T>::quiet_NaN()};
    return choice[pick(0, perhaps(0.2) ? 8 : 7)];
  }
  return static_cast<T>(std::normal_distribution<>(0, 2)(generator));
}

// Rows [first, first + count) of a value, `ld` elements apart, which begin `offset` elements into
// their memory. What lies between the rows is NaN.
struct Array {
  int size = 1, ld = 1, first = 0, count = 0, offset = 0;
  size_t item = 4;
  std::vector<char> bytes;

  static Array make(size_t item, int size, int ld, int first, int count) {
    Array array;
    array.size = size;
    array.ld = ld;
    array.first = first;
    array.count = count;
    array.offset = perhaps(0.5) ? 0 : pick(0, 5);
    array.item = item;
    const auto elements = static_cast<size_t>(array.offset + std::max(0, (count - 1)) * ld + size);
    array.bytes.assign(elements * item, '\xff');
    return array;
  }
  ptrdiff_t begin() const {  // of row 0, in bytes from the memory
    return (offset - ptrdiff_t{first} * ld) * static_cast<ptrdiff_t>(item);
  }
  template <class T>
  T* row(int r) {
    return reinterpret_cast<T*>(bytes.data() + begin()) + ptrdiff_t{r} * ld;
  }
};

// The leading dimension of a value, or of columns of another one.
inline int some_ld(int size) {
  if (perhaps(0.3)) return size;
  if (perhaps(0.5)) return (size + 15) / 16 * 16;
  return size + pick(0, 9);
}

template <class T>
Array numbers(int size, int first, int count, bool wild = false, bool rows = true) {
  Array array = Array::make(sizeof(T), size, rows ? some_ld(size) : 0, first, count);
  for (int r = first; r < first + count; ++r) {
    for (int j = 0; j < size; ++j) array.row<T>(r)[j] = number<T>(wild);
  }
  return array;
}

inline Array integers(int first, int count, int least, int most, int size = 1) {
  Array array = Array::make(4, size, size == 1 ? pick(1, 2) : some_ld(size), first, count);
  for (int r = first; r < first + count; ++r) {
    for (int j = 0; j < size; ++j) array.row<int32_t>(r)[j] = pick(least, most);
  }
  return array;
}

using Ints = std::vector<int32_t>;

// One call of a kernel.
struct Case {
  std::string name;
  Attributes attributes;
  std::vector<Array> in;
  Array out;
  struct {
    Ints index, ptr, list, part;
  } table;
  int begin = 0, end = 0;
  RandomContext random;
  SpaceKind space = SpaceKind::kVertex;
  double tolerance = 0;  // relative to 1 and to the number; 0: equal bits
};

inline const int32_t* array_of(const Ints& ints) { return ints.empty() ? nullptr : ints.data(); }

inline const void* address_of(const Attributes& attributes) {
  return std::visit([](const auto& held) -> const void* { return &held; }, attributes);
}

inline void run_on_cpu(Case& c, DType dtype) {
  std::vector<Operand> in;
  for (Array& array : c.in) {
    in.push_back({array.bytes.data() + array.begin(), array.ld, array.size, false, nullptr});
  }
  const Operand out = {c.out.bytes.data() + c.out.begin(), c.out.ld, c.out.size, false, nullptr};
  const std::vector<IndexTable> tables(std::max<size_t>(1, in.size()),
                                       {array_of(c.table.index), array_of(c.table.ptr),
                                        array_of(c.table.list), array_of(c.table.part)});
  KernelCall call;
  call.in = in.data();
  call.num_in = static_cast<int>(in.size());
  call.out = &out;
  call.num_out = 1;
  call.attributes = address_of(c.attributes);
  call.row_begin = c.begin;
  call.row_end = c.end;
  call.tables = tables.data();
  call.random = &c.random;
  const DenormalScope scope(dtype);
  find_kernel(dtype, c.name)(call);
}

// Memory of the device with a copy of the host's.
class Uploads {
 public:
  explicit Uploads(const device::Stream& stream) : stream_(stream) {}
  char* add(const void* data, size_t bytes) {
    if (bytes == 0) return nullptr;
    blocks_.push_back(std::make_unique<device::DeviceBlock>(stream_, bytes));
    stream_.copy_to_device(blocks_.back()->address(), data, bytes);
    return blocks_.back()->as<char>();
  }
  template <class T>
  const T* add(const std::vector<T>& values) {
    return reinterpret_cast<const T*>(add(values.data(), values.size() * sizeof(T)));
  }
  device::Operand add(const Array& array) {
    return {add(array.bytes.data(), array.bytes.size()) + array.begin(), array.ld, array.size};
  }

 private:
  const device::Stream& stream_;
  std::vector<std::unique_ptr<device::DeviceBlock>> blocks_;
};

// Graphs, vertices and edges that random numbers are drawn for.
struct Places {
  std::vector<int64_t> key;
  Ints graph, local;
};

inline void run_on_device(Case& c, DType dtype, const Places& places) {
  device::OpenGpu& gpu = device::open_gpu(0);
  device::Library& library = device::library_of(gpu, dtype, flush_denormals());
  Uploads uploads(gpu.stream);
  std::vector<device::Operand> in;
  for (const Array& array : c.in) in.push_back(uploads.add(array));
  const device::Operand out = uploads.add(c.out);
  const std::vector<device::Table> tables(std::max<size_t>(1, in.size()),
                                          {uploads.add(c.table.index), uploads.add(c.table.ptr),
                                           uploads.add(c.table.list), uploads.add(c.table.part)});
  device::Random random;
  const device::RandomState state = {c.random.seed, c.random.step};
  random.state = reinterpret_cast<const device::RandomState*>(uploads.add(&state, sizeof(state)));
  random.training = c.random.training ? 1 : 0;
  random.graph_key = reinterpret_cast<const long long*>(uploads.add(places.key));
  const device::RandomRows rows = {uploads.add(places.graph), uploads.add(places.local)};
  random.vertices = rows;
  random.edges = &rows;
  Program program;
  program.dtype = dtype;
  Instruction instruction;
  instruction.kernel = kernel_named(c.name);
  for (size_t i = 0; i < in.size(); ++i) instruction.inputs.push_back(static_cast<int>(i));
  instruction.outputs = {static_cast<int>(in.size())};
  instruction.attributes = c.attributes;
  instruction.space.kind = c.space;
  device::DeviceCall call;
  call.program = &program;
  call.instruction = &instruction;
  call.in = in.data();
  call.out = &out;
  call.tables = tables.data();
  call.random = &random;
  call.rows = {c.begin, c.end};
  const device::DeviceKernel* kernel = device::find_device_kernel(c.name);
  if (kernel == nullptr) {
    CHECK(kernel != nullptr);
    return;
  }
  std::unique_ptr<device::DeviceBlock> scratch;
  if (kernel->scratch_bytes != nullptr) {
    const size_t bytes = kernel->scratch_bytes(program, instruction, c.end - c.begin);
    if (bytes > 0) {
      scratch = std::make_unique<device::DeviceBlock>(gpu.stream, bytes);
      call.scratch = scratch->address();
    }
  }
  kernel->launch(library, gpu.stream, call);
  gpu.stream.copy_to_host(
      c.out.bytes.data(),
      reinterpret_cast<device::Address>(static_cast<char*>(out.data) - c.out.begin()),
      c.out.bytes.size());
  gpu.stream.synchronize();
}

template <class T>
bool alike(T a, T b, double tolerance) {
  if (std::is_integral_v<T>) return a == b;
  if (a == b) return tolerance > 0 || std::signbit(a) == std::signbit(b);
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::abs(a - b) <= tolerance * std::max(1.0, std::abs(static_cast<double>(b)));
}

template <class T>
void compare(const Case& c, const Array& expected, const Array& got) {
  if (expected.bytes == got.bytes) return;
  const size_t count = expected.bytes.size() / expected.item;
  for (size_t i = 0; i < count; ++i) {
    T a, b;
    std::memcpy(&a, got.bytes.data() + i * sizeof(T), sizeof(T));
    std::memcpy(&b, expected.bytes.data() + i * sizeof(T), sizeof(T));
    if (alike(a, b, c.tolerance)) continue;
    const std::string where = " at element " + std::to_string(i) + " of rows of " +
                              std::to_string(c.out.size) + " and ld " + std::to_string(c.out.ld);
    cavs_test::report(__FILE__, __LINE__,
                      c.name + ": expected " + std::to_string(b) + ", got " + std::to_string(a) +
                          (sizeof(T) == 8 ? " in float64" : " in float32") + where);
    return;
  }
}

template <class T>
constexpr DType kDType = sizeof(T) == 8 ? DType::kFloat64 : DType::kFloat32;

// T is the type of the output.
template <class T, DType dtype = kDType<T>>
void check_case(Case c, const Places& places = {}) {
  Case on_device = c;
  c.random.graph_key = places.key.data();
  c.random.vertex_graph = places.graph.data();
  c.random.vertex_local = places.local.data();
  c.random.edges = {{places.graph.data(), places.local.data()}};
  run_on_cpu(c, dtype);
  run_on_device(on_device, dtype, places);
  compare<T>(c, c.out, on_device.out);
}

constexpr int kRounds = 12;

// Widths below, at and above those of vectors, warps and blocks.
inline int some_width() {
  const int widths[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 128, 260};
  return widths[pick(0, 15)];
}

inline Ints indices(int count, int rows, double none = 0.2) {
  Ints index;
  for (int i = 0; i < count; ++i) index.push_back(perhaps(none) ? -1 : pick(0, rows - 1));
  return index;
}

// Rows [begin, end) of up to `most` rows, now and then none.
inline void pick_rows(Case* c, int most) {
  c->begin = pick(0, most / 2);
  c->end = perhaps(0.1) ? c->begin : pick(c->begin, most);
}

// Functions have the CPU's bits in float32, where the CPU rounds products and sums once. In float64
// the emulated device has the CPU's library too.
template <class T>
double tolerance_of_functions() {
  return instruction_set() == "generic" ? 30 * std::numeric_limits<T>::epsilon() : 0;
}

// The CPU adds the elements of a row in the order of its vectors. The device has the order of
// AVX-512; with others, and in the longest rows, which a block takes, sums round otherwise.
template <class T>
double tolerance_of_sums(int64_t length) {
  if (instruction_set() == "avx512" && length <= 1024) return 0;
  return 30 * std::numeric_limits<T>::epsilon();
}

}  // namespace cavs_test
