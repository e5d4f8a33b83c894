// The device's kernels over rows against the CPU's, on the same operands: random shapes, tables and
// rows in both dtypes. All memory of the outputs is compared, so that nothing else was written.
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#include "base/denormals.h"
#include "check.h"
#include "cpu/kernel.h"
#include "cuda/launch.h"
#include "cuda/library.h"
#include "program/kernels.h"

using namespace cavs;
namespace device = cavs::cuda;

namespace {

std::mt19937 generator(1);

int pick(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }
bool perhaps(double chance) { return std::uniform_real_distribution<>(0, 1)(generator) < chance; }

// Numbers as they come in log space: some infinite, few NaN, equal ones and zeros of both signs.
template <class T>
T number(bool wild) {
  if (wild && perhaps(0.15)) {
    const T inf = std::numeric_limits<T>::infinity();
    const T choice[] = {inf, -inf, -inf, T(0), -T(0), T(1), std::numeric_limits<T>::quiet_NaN()};
    return choice[pick(0, perhaps(0.2) ? 6 : 5)];
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
int some_ld(int size) {
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

Array integers(int first, int count, int least, int most) {
  Array array = Array::make(4, 1, pick(1, 2), first, count);
  for (int r = first; r < first + count; ++r) *array.row<int32_t>(r) = pick(least, most);
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

const int32_t* array_of(const Ints& ints) { return ints.empty() ? nullptr : ints.data(); }

const void* address_of(const Attributes& attributes) {
  return std::visit([](const auto& held) -> const void* { return &held; }, attributes);
}

void run_on_cpu(Case& c, DType dtype) {
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

void run_on_device(Case& c, DType dtype, const Places& places) {
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
  random.seed = c.random.seed;
  random.step = c.random.step;
  random.training = c.random.training ? 1 : 0;
  random.graph_key = reinterpret_cast<const long long*>(uploads.add(places.key));
  random.vertex_graph = random.edge_graph = uploads.add(places.graph);
  random.vertex_local = random.edge_local = uploads.add(places.local);
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
  c.random.vertex_graph = c.random.edge_graph = places.graph.data();
  c.random.vertex_local = c.random.edge_local = places.local.data();
  run_on_cpu(c, dtype);
  run_on_device(on_device, dtype, places);
  compare<T>(c, c.out, on_device.out);
}

constexpr int kRounds = 12;

// Widths below, at and above those of vectors, warps and blocks.
int some_width() {
  const int widths[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 128, 260};
  return widths[pick(0, 15)];
}

Ints indices(int count, int rows, double none = 0.2) {
  Ints index;
  for (int i = 0; i < count; ++i) index.push_back(perhaps(none) ? -1 : pick(0, rows - 1));
  return index;
}

// Rows [begin, end) of up to `most` rows, now and then none.
void pick_rows(Case* c, int most) {
  c->begin = pick(0, most / 2);
  c->end = perhaps(0.1) ? c->begin : pick(c->begin, most);
}

template <class T>
void test_moves() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const int width = some_width(), rows = pick(1, 40);
    for (const char* name : {"copy", "take", "load", "store"}) {
      Case c;
      c.name = name;
      pick_rows(&c, rows);
      const int count = std::max(1, c.end - c.begin);
      const bool indexed = c.name != "copy" && perhaps(0.7), stores = c.name == "store";
      if (c.name == "load") {
        c.attributes = LoadAttributes{};
      }
      if (indexed) c.table.index = indices(rows, rows);
      if (indexed && stores) {  // no row twice
        for (int i = 0; i < rows; ++i)
          c.table.index[static_cast<size_t>(i)] = perhaps(0.3) ? -1 : i;
        std::shuffle(c.table.index.begin(), c.table.index.end(), generator);
      }
      const bool all_in = indexed && !stores, all_out = indexed && stores;
      c.in = {numbers<T>(width, all_in ? 0 : c.begin, all_in ? rows : count, true)};
      c.out = Array::make(sizeof(T), width, some_ld(width), all_out ? 0 : c.begin,
                          all_out ? rows : count);
      check_case<T>(c);
    }
  }
}

// Ids of -1, and one without a row.
template <class T>
void test_embedding() {
  for (int round = 0; round < 4 * kRounds; ++round) {
    const int width = some_width(), count = pick(1, 20);
    Case c;
    c.name = "embedding";
    c.attributes = EmbeddingAttributes{count, width};
    pick_rows(&c, 30);
    const int rows = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(width * count, 0, 1, false, false), integers(c.begin, rows, -1, count)};
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, rows);
    check_case<T>(c);
  }
}

template <class T>
void test_fill() {
  for (int round = 0; round < 2 * kRounds; ++round) {
    const double values[] = {0, -0.0, 1.5, 1e-3, std::numeric_limits<double>::infinity()};
    const int width = some_width();
    Case c;
    c.name = "fill";
    c.attributes = FillAttributes{values[pick(0, 4)]};
    pick_rows(&c, 30);
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
    check_case<T>(c);
  }
}

// Lines of columns, through an index or not.
template <class T>
void test_copy_columns() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const bool fours = perhaps(0.5);  // widths in which wide words may move
    const auto some = [&](int most) { return fours ? 4 * pick(0, most / 4) : pick(0, most); };
    ColumnsAttributes it;
    it.lines = pick(1, 5);
    it.width = std::max(fours ? 4 : 1, some(20));
    it.source_column = some(9);
    it.source_step = it.width + some(9);
    it.target_column = some(9);
    it.target_step = it.width + some(9);
    Case c;
    c.name = "copy_columns";
    c.attributes = it;
    pick_rows(&c, 20);
    const auto size = [&](int64_t column, int64_t step) {
      return static_cast<int>(column + (it.lines - 1) * step + it.width) + some(4);
    };
    const bool indexed = perhaps(0.5);
    if (indexed) c.table.index = indices(20, 20);
    const int rows = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(size(it.source_column, it.source_step), indexed ? 0 : c.begin,
                       indexed ? 20 : rows)};
    const int out_size = size(it.target_column, it.target_step);
    c.out = Array::make(sizeof(T), out_size, some_ld(out_size), c.begin, rows);
    check_case<T>(c);
  }
}

// Integers stay as they are, in programs of either dtype.
template <class T>
void test_integers() {
  for (int round = 0; round < kRounds; ++round) {
    Case c;
    c.name = perhaps(0.5) ? "load" : "unique_ids";
    pick_rows(&c, 30);
    c.table.index = indices(30, 30);
    if (c.name == "load") {
      c.attributes = LoadAttributes{true};
      c.in = {integers(0, 30, -5, 5)};
    }
    c.out = integers(c.begin, std::max(1, c.end - c.begin), 7, 7);
    check_case<int32_t, kDType<T>>(c);
  }
}

// Up to 20 inputs, slots beyond them, and vertices without a row.
template <class T>
void test_slots_to_edges() {
  for (int round = 0; round < 3 * kRounds; ++round) {
    const int width = some_width(), inputs = perhaps(0.5) ? pick(1, 3) : pick(4, 20);
    Case c;
    c.name = "slots_to_edges";
    pick_rows(&c, 30);
    c.table.index = indices(30, 10);
    for (int e = 0; e < 30; ++e) c.table.list.push_back(pick(0, inputs));
    for (int i = 0; i < inputs; ++i) c.in.push_back(numbers<T>(width, 0, 10));
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
    check_case<T>(c);
  }
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

// Lists of rows, some empty; named by a list or adjacent; whole rows or parts of them.
template <class T>
void test_segments() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    for (const char* name : {"segment_sum", "segment_max", "segment_logsumexp"}) {
      const int width = some_width(), rows = 20;
      Case c;
      c.name = name;
      pick_rows(&c, rows);
      c.table.ptr = {0};
      const int longest = pick(1, 9);
      for (int r = 0; r < rows; ++r) {
        c.table.ptr.push_back(c.table.ptr.back() + (perhaps(0.3) ? 0 : pick(1, longest)));
      }
      const int entries = std::max(1, c.table.ptr.back());
      const bool listed = perhaps(0.7), parts = perhaps(0.3);
      const int count = listed ? 25 : entries;
      for (int i = 0; listed && i < entries; ++i) c.table.list.push_back(pick(0, count - 1));
      for (int i = 0; parts && i < entries; ++i) c.table.part.push_back(pick(0, 2));
      c.in = {numbers<T>(parts ? 3 * width : width, 0, count, perhaps(0.5))};
      c.in[0].size = width;  // of a part
      if (c.name == "segment_logsumexp") c.tolerance = tolerance_of_functions<T>();
      c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, std::max(1, c.end - c.begin));
      check_case<T>(c);
    }
  }
}

// Numbers that stand side by side are added in the order of a row.
template <class T>
void test_segment_softmax() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const bool narrow = perhaps(0.4);
    const int width = narrow ? 1 : some_width(), rows = narrow ? 100 : 30;
    Case c;
    c.name = "segment_softmax";
    c.space = SpaceKind::kEdge;
    const int longest = pick(1, narrow ? 40 : 8);
    for (int parent = 0; static_cast<int>(c.table.index.size()) < rows; ++parent) {
      for (int i = pick(0, longest); i > 0; --i) c.table.index.push_back(parent);
    }
    const auto is_first = [&](int e) {
      const auto i = static_cast<size_t>(e);
      return e == 0 || c.table.index[i] != c.table.index[i - 1];
    };
    pick_rows(&c, rows);
    while (!is_first(c.begin)) --c.begin;
    while (c.end > c.begin && !is_first(c.end)) --c.end;
    const int count = std::max(1, c.end - c.begin);
    c.in = {numbers<T>(width, c.begin, count, perhaps(0.5))};
    c.out =
        Array::make(sizeof(T), width, narrow && perhaps(0.7) ? 1 : some_ld(width), c.begin, count);
    c.tolerance = narrow ? tolerance_of_sums<T>(1) : tolerance_of_functions<T>();
    check_case<T>(c);
  }
}

template <class T>
void test_numbers_of_rows() {
  for (int round = 0; round < kRounds; ++round) {
    Case c;
    pick_rows(&c, 20);
    const int rows = std::max(1, c.end - c.begin);
    c.out = Array::make(sizeof(T), 1, pick(1, 3), c.begin, rows);
    c.name = "num_children";
    c.table.ptr = {0};
    for (int r = 0; r < 20; ++r) c.table.ptr.push_back(c.table.ptr.back() + pick(0, 4));
    check_case<T>(c);
    c.name = "present";
    c.in = {integers(c.begin, rows, -1, 1)};
    check_case<T>(c);
  }
}

AxisAttributes some_axis() {
  AxisAttributes axis;
  const int length = perhaps(0.15) ? pick(1025, 1600) : perhaps(0.2) ? pick(1, 1024) : some_width();
  axis.length = length;
  axis.outer = length > 1000 ? pick(1, 2) : pick(1, 4);
  return axis;
}

template <class T>
Array groups(const AxisAttributes& axis, const Case& c, bool reduced, bool wild) {
  const auto size = static_cast<int>(axis.outer * (reduced ? 1 : axis.length));
  return numbers<T>(size, c.begin, std::max(1, c.end - c.begin), wild);
}

// Now and then a group of nothing but -inf, which masks leave, or of +inf.
template <class T>
void mask_groups(const AxisAttributes& axis, const Case& c, Array* array) {
  for (int r = c.begin; r < c.end; ++r) {
    for (int64_t g = 0; g < axis.outer; ++g) {
      if (!perhaps(0.15)) continue;
      const T inf = std::numeric_limits<T>::infinity(), value = perhaps(0.7) ? -inf : inf;
      std::fill_n(array->row<T>(r) + g * axis.length, axis.length, value);
    }
  }
}

template <class T>
void test_along_an_axis() {
  for (int round = 0; round < 8 * kRounds; ++round) {
    for (const char* name : {"softmax", "log_softmax", "logsumexp", "row_max", "row_sum",
                             "one_hot_max", "logsumexp_grad"}) {
      const AxisAttributes axis = some_axis();
      Case c;
      c.name = name;
      c.attributes = axis;
      pick_rows(&c, 12);
      const bool wild = perhaps(0.5);
      const bool reduces = c.name == "logsumexp" || c.name == "row_max" || c.name == "row_sum";
      Array x = groups<T>(axis, c, false, wild);
      if (wild) mask_groups<T>(axis, c, &x);
      if (c.name == "logsumexp_grad") {
        c.in = {groups<T>(axis, c, true, false), groups<T>(axis, c, true, wild), x};
      } else if (c.name == "one_hot_max") {
        c.in = {x, groups<T>(axis, c, false, wild)};
      } else {
        c.in = {x};
      }
      c.out = groups<T>(axis, c, reduces, false);
      const bool sums = c.name != "row_max" && c.name != "one_hot_max";
      c.tolerance = sums ? tolerance_of_sums<T>(axis.length) : 0;
      if (c.name == "row_sum") c.tolerance *= 30;  // of numbers that cancel
      // Among zeros of both signs a block takes any.
      if (c.name == "row_max" && axis.length > 1024) c.tolerance = 1e-30;
      check_case<T>(c);
    }
  }
}

// Labels of -1, without a class, impossible and certain ones.
template <class T>
void test_cross_entropy() {
  for (int round = 0; round < 10 * kRounds; ++round) {
    const AxisAttributes axis{1, some_axis().length};
    const auto classes = static_cast<int>(axis.length);
    Case c;
    pick_rows(&c, 20);
    const int rows = std::max(1, c.end - c.begin);
    const bool wild = perhaps(0.5);
    Array x = groups<T>(axis, c, false, wild);
    if (wild) mask_groups<T>(axis, c, &x);
    Array labels = integers(c.begin, rows, -1, classes - 1);
    if (perhaps(0.2)) *labels.row<int32_t>(c.begin) = classes;
    c.tolerance = tolerance_of_sums<T>(classes);
    c.name = "cross_entropy";
    c.in = {x, labels};
    c.out = groups<T>(axis, c, true, false);
    check_case<T>(c);
    c.name = "cross_entropy_grad";
    c.in = {groups<T>(axis, c, true, false), x, labels};
    c.out = groups<T>(axis, c, false, false);
    check_case<T>(c);
  }
}

// Shapes of any rank up to 8, of which some dims are 1 in the smaller one.
template <class T>
void test_shapes() {
  for (int round = 0; round < 12 * kRounds; ++round) {
    Dims large, small;
    large.rank = small.rank = pick(0, kMaxRank);
    int64_t large_size = 1, small_size = 1;
    for (int i = 0; i < large.rank; ++i) {
      const int most =
          static_cast<int>(std::min<int64_t>(i + 1 == large.rank ? 70 : 4, 1600 / large_size));
      large.sizes[i] = std::max(1, pick(1, most));
      small.sizes[i] = perhaps(0.5) ? 1 : large.sizes[i];
      large_size *= large.sizes[i];
      small_size *= small.sizes[i];
    }
    Case c;
    pick_rows(&c, 8);
    const int rows = std::max(1, c.end - c.begin);
    const Array of_large = numbers<T>(static_cast<int>(large_size), c.begin, rows);
    const Array of_small = numbers<T>(static_cast<int>(small_size), c.begin, rows);
    c.name = "broadcast";
    c.attributes = ShapeAttributes{small, large};
    c.in = {of_small};
    c.out = of_large;
    check_case<T>(c);
    c.name = "sum_to";
    c.attributes = ShapeAttributes{large, small};
    c.in = {of_large};
    c.out = of_small;
    c.tolerance = 30 * tolerance_of_sums<T>(1);
    check_case<T>(c);
  }
}

Places some_places(int rows) {
  Places places;
  for (int g = 0; g < rows; ++g) {  // a graph for each row, where rows are graphs
    places.key.push_back(static_cast<int64_t>(generator()) << 32 | generator());
  }
  for (int r = 0; r < rows; ++r) {
    places.graph.push_back(pick(0, rows - 1));
    places.local.push_back(pick(0, 1000));
  }
  return places;
}

void pick_random(Case* c) {
  c->random.seed = static_cast<uint64_t>(generator()) << 32 | generator();
  c->random.step = static_cast<uint64_t>(generator()) << 32 | generator();
  c->random.training = perhaps(0.8);
}

double some_rate() {
  const double rates[] = {0, 1, 0.5, 0.1, 0.3, 0.999999};
  return rates[pick(0, 5)];
}

template <class T>
void test_random() {
  for (int round = 0; round < 6 * kRounds; ++round) {
    const int kind = pick(0, 2), width = some_width();
    const SampledRows of[] = {SampledRows::kVertex, SampledRows::kEdge, SampledRows::kGraph};
    const SpaceKind spaces[] = {SpaceKind::kVertex, SpaceKind::kEdge, SpaceKind::kGraph};
    Case c;
    c.space = spaces[kind];
    pick_rows(&c, 30);
    pick_random(&c);
    const int rows = std::max(1, c.end - c.begin);
    const Places places = some_places(30);
    c.out = Array::make(sizeof(T), width, some_ld(width), c.begin, rows);
    c.name = "uniform";
    UniformAttributes uniform;
    uniform.key = static_cast<uint32_t>(generator());
    uniform.rows = of[kind];
    c.attributes = uniform;
    check_case<T>(c, places);
    c.name = "dropout";
    DropoutAttributes dropout;
    static_cast<UniformAttributes&>(dropout) = uniform;
    dropout.rate = some_rate();
    c.attributes = dropout;
    c.in = {numbers<T>(width, c.begin, rows, perhaps(0.3))};
    check_case<T>(c, places);
    c.name = "dropout_by_id";
    const int ids = perhaps(0.7) ? pick(1, 4) : pick(5, 20);
    for (int i = 0; i < ids; ++i) c.in.push_back(integers(c.begin, rows, -1, 1 << 30));
    check_case<T>(c);
  }
}

// Each kernel of programs is one of the device's, except the groups that are printed.
void test_every_kernel_is_known() {
  for (const Kernel& kernel : kernels()) {
    const bool printed = std::string(kernel.name) == "fused";
    const device::DeviceKernel* found = device::find_device_kernel(kernel.name);
    CHECK((found == nullptr) == printed);
    CHECK(found == nullptr || std::string(found->name) == kernel.name);
  }
  CHECK(device::find_device_kernel("nothing") == nullptr);
}

template <class T>
void test_all() {
  test_moves<T>();
  test_embedding<T>();
  test_fill<T>();
  test_copy_columns<T>();
  test_integers<T>();
  test_slots_to_edges<T>();
  test_segments<T>();
  test_segment_softmax<T>();
  test_numbers_of_rows<T>();
  test_along_an_axis<T>();
  test_cross_entropy<T>();
  test_shapes<T>();
  test_random<T>();
}

}  // namespace

int main() {
  test_every_kernel_is_known();
  test_all<float>();
  test_all<double>();
  return cavs_test::result();
}
