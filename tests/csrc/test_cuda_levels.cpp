// Levels that go together in one launch give the bits that they give by launches of their
// instructions, with few barriers.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "check.h"
#include "cuda/driver/current_stream.h"
#include "cuda/levels/levels.h"
#include "cuda/sweep/prepared.h"
#include "cuda_arrays.h"
#include "random_levels.h"

using namespace cavs;
using namespace cavs_test;
using cavs::cuda::LevelsOrder;
using cavs::cuda::order_levels;
using cavs::cuda::StepTouches;
using cavs::cuda::Touch;

namespace {

// Launches since the last call, those by one kernel for many levels apart. Zeros on a real GPU.
struct Launches {
  int64_t all = 0, together = 0;
};
Launches launches() {
  int64_t counts[2] = {};
  const auto read = reinterpret_cast<int (*)(int64_t*, int, int)>(
      cuda::emulator_function("cavs_emulator_counts"));
  if (read != nullptr) read(counts, 2, 1);
  return {counts[0] + counts[1], counts[1]};
}
bool is_emulated() { return cuda::emulator_function("cavs_emulator_counts") != nullptr; }

const cuda::Stream& stream() { return cuda::current_stream(cuda::open_gpu(0)); }

template <class T>
struct Batch {
  GraphBatch batch;
  Schedule schedule;
  std::vector<T> x, dh, u, v, bias;

  Batch(GraphBatch graphs, int64_t width, std::mt19937& random)
      : batch(std::move(graphs)), schedule(make_schedule(batch, Policy::kDepth)) {
    const auto fill = [&](std::vector<T>* values, int64_t count) {
      for (const double value : random_doubles(count, random)) {
        values->push_back(static_cast<T>(value));
      }
    };
    fill(&x, batch.num_vertices() * width);
    fill(&dh, batch.num_vertices() * width);
    fill(&u, width * width);
    fill(&v, 2 * width * width);
    fill(&bias, width);
  }
};

template <class T>
ExternalArray external(const DeviceArray<T>& array, size_t count) {
  return {array.data(), static_cast<int64_t>(count),
          sizeof(T) == 8 ? DType::kFloat64 : DType::kFloat32};
}

struct Programs {
  LevelsForm form;
  ExecutablePtr forward, backward;

  Programs(const LevelsForm& the_form, unsigned seed) : form(the_form) {
    Backend& gpu = cuda_backend(0);
    forward = make_executable(RandomLevels(form, seed).forward(), nullptr, gpu);
    backward =
        make_executable(RandomLevels(form, seed + 1000).backward(forward->program), forward, gpu);
  }
};

template <class T>
struct Results {
  std::vector<std::vector<T>> values;
  Launches forward, backward;
};

template <class T>
Results<T> results_of(const Programs& programs, const Batch<T>& p, bool persistent) {
  cuda::set_persistent_levels(persistent);
  const auto width = static_cast<size_t>(programs.form.width);
  const std::vector<T> vertices(p.x.size(), 7), square(width * width, 7), row(width, 7),
      edges(std::max<size_t>(1, static_cast<size_t>(p.schedule.num_edges) * width), 7);
  DeviceArray<T> u(stream(), p.u), v(stream(), p.v), bias(stream(), p.bias), x(stream(), p.x),
      dh(stream(), p.dh), h(stream(), vertices), c(stream(), vertices), dv(stream(), vertices),
      de(stream(), edges), du(stream(), square), db(stream(), row);
  const std::vector<ExternalArray> parameters = {external(u, p.u.size()), external(v, p.v.size()),
                                                 external(bias, p.bias.size())};
  Run run(programs.forward, p.schedule,
          std::vector<int64_t>(static_cast<size_t>(p.batch.num_graphs())), RandomContext{}, true);
  Results<T> results;
  launches();
  run.forward({parameters,
               {external(x, p.x.size())},
               {external(h, vertices.size()), external(c, vertices.size())}},
              1);
  results.forward = launches();
  std::vector<ExternalArray> outputs = {
      external(dv, vertices.size()),
      external(de, static_cast<size_t>(p.schedule.num_edges) * width)};
  if (programs.form.sums) {
    outputs.push_back(external(du, square.size()));
    outputs.push_back(external(db, row.size()));
  }
  run.backward(programs.backward, {parameters, {external(dh, p.dh.size())}, outputs}, 1);
  results.backward = launches();
  for (const auto* array : {&h, &c, &dv, &de}) results.values.push_back(array->read());
  if (programs.form.sums) results.values.insert(results.values.end(), {du.read(), db.read()});
  return results;
}

template <class T>
bool have_same_bits(const Results<T>& a, const Results<T>& b) {
  bool same = a.values.size() == b.values.size();
  for (size_t i = 0; same && i < a.values.size(); ++i) {
    const auto &x = a.values[i], &y = b.values[i];
    same = x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
  }
  return same;
}

// A vertex on top of the other.
GraphBatch chain(int length) {
  std::vector<int64_t> child_ptr{0}, children;
  for (int v = 0; v < length; ++v) {
    if (v > 0) children.push_back(v - 1);
    child_ptr.push_back(static_cast<int64_t>(children.size()));
  }
  return make_graph_batch({0, length}, child_ptr, children);
}

template <class T>
struct Compared {
  Results<T> apart, together;
};

// `expected`: launches of many levels, in each direction.
template <class T>
Compared<T> compare(const Programs& programs, GraphBatch graphs, std::mt19937& random,
                    int64_t expected) {
  const Batch<T> batch(std::move(graphs), programs.form.width, random);
  const Compared<T> it = {results_of(programs, batch, false), results_of(programs, batch, true)};
  CHECK(have_same_bits(it.apart, it.together));
  if (!is_emulated()) return it;
  CHECK(it.apart.forward.together == 0 && it.apart.backward.together == 0);
  CHECK(it.together.forward.together == expected && it.together.backward.together == expected);
  return it;
}

template <class T>
void test_random_programs(std::vector<int64_t> widths, unsigned programs) {
  for (unsigned seed = 0; seed < programs; ++seed) {
    LevelsForm form;
    form.dtype = sizeof(T) == 8 ? DType::kFloat64 : DType::kFloat32;
    form.width = widths[seed % widths.size()];
    form.instructions = 1 + static_cast<int>(seed % 7);
    form.sums = seed % 2 == 1;
    const Programs random_programs(form, 17 * seed + (sizeof(T) == 8 ? 7 : 0));
    std::mt19937 random(seed);
    compare<T>(random_programs, random_batch(3, 25, random), random, 1);
    const int length = 1 + static_cast<int>(seed * 5 % 50);
    compare<T>(random_programs, chain(length), random, length > 1 ? 1 : 0);
  }
}

// `count` trees of the same form: two leaves under a vertex, and `above` vertices over that.
GraphBatch trees(int count, int above) {
  std::vector<int64_t> ptr{0}, child_ptr{0}, children;
  for (int g = 0; g < count; ++g) {
    child_ptr.insert(child_ptr.end(), 2, static_cast<int64_t>(children.size()));
    children.insert(children.end(), {0, 1});
    for (int v = 0; v <= above; ++v) {
      child_ptr.push_back(static_cast<int64_t>(children.size()));
      if (v < above) children.push_back(2 + v);
    }
    ptr.push_back(ptr.back() + 3 + above);
  }
  return make_graph_batch(ptr, child_ptr, children);
}

// Wide levels go by launches of their instructions, the narrow ones before or after them together.
void test_wide_levels() {
  const Programs programs({DType::kFloat32, 8, 5, true}, 3);
  std::mt19937 random(1);
  // 140 leaves and 70 vertices a level above them, whose 140 edges are many too at first.
  const auto it = compare<float>(programs, trees(70, 12), random, 1);
  const auto none = compare<float>(programs, trees(140, 12), random, 0);
  if (!is_emulated()) return;
  CHECK(it.together.forward.all < it.apart.forward.all / 3);
  CHECK(it.together.backward.all < it.apart.backward.all / 3);
  CHECK(none.together.forward.all == none.apart.forward.all);
}

const cuda::LevelsCode& code_of(const Executable& exe) {
  return *cuda::cuda_program(exe).code(exe.kept, false).levels;
}
size_t levels_segment(const Executable& exe) {
  size_t s = 0;
  while (exe.program.segments[s].kind != SegmentKind::kLevels) ++s;
  return s;
}

// A segment with more operands than a kernel's arguments hold goes by launches, and can say why.
void test_segments_that_cannot() {
  const Programs small({DType::kFloat32, 8, 4, true}, 5), large({DType::kFloat32, 8, 90, true}, 5);
  CHECK(code_of(*small.forward).why_not(levels_segment(*small.forward)).empty());
  CHECK(code_of(*small.backward).why_not(levels_segment(*small.backward)).empty());
  const std::string reason = code_of(*large.forward).why_not(levels_segment(*large.forward));
  CHECK(reason == "it has more operands than one kernel can be given");
  CHECK_THROWS(code_of(*large.forward).source(levels_segment(*large.forward)), Error,
               "more operands");
  std::mt19937 random(1);
  compare<float>(large, random_batch(2, 10, random), random, 0);
}

// Sets of numbers that stand for memory: what each step reads, and writes.
StepTouches step(const std::vector<int>& reads, const std::vector<int>& writes, int call,
                 int kind = 0, const std::vector<int>& own = {}) {
  StepTouches touches;
  touches.call = call;
  touches.kind = kind;
  const auto touch = [&](int memory, bool written) {
    const bool by_element = std::find(own.begin(), own.end(), memory) != own.end();
    touches.touches.push_back({memory, 0, 32, 32, written, by_element});
  };
  for (const int memory : reads) touch(memory, false);
  for (const int memory : writes) touch(memory, true);
  return touches;
}

bool is_right(const LevelsOrder& order, std::vector<int> times) { return order.times == times; }

void test_order() {
  enum : int { kStateH, kStateC, kProduct, kSums, kWide, kGates, kForget };
  // Of a Tree-LSTM: a product of what a level gives belongs to the next level's first round.
  const auto cell = [&](int kind) {
    return order_levels({step({kStateH}, {kSums}, 0), step({kSums}, {kWide}, 1),
                         step({kWide}, {kGates}, 2, 1, {kGates}),
                         step({kProduct, kStateC}, {kForget}, 3, 2),
                         step({kGates, kForget}, {kStateH, kStateC}, 4, kind, {kGates}),
                         step({kStateH}, {kProduct}, 5)});
  };
  const LevelsOrder together = cell(1), apart = cell(3);
  CHECK(together.rounds == 3 && is_right(together, {0, 1, 2, 1, 2, 3}));
  CHECK(together.round(5) == 0 && together.levels_behind(5) == 1);
  CHECK(apart.rounds == 4);
  // Steps that do not need each other, and steps that only come after each other.
  CHECK(order_levels({step({0}, {1}, 0), step({0}, {2}, 1), step({0}, {3}, 2)}).rounds == 1);
  CHECK(
      is_right(order_levels({step({0}, {1}, 0), step({1}, {2}, 1), step({2}, {3}, 2)}), {0, 1, 2}));
  // What is read is written over in the same level, and in the next.
  const LevelsOrder over = order_levels({step({0}, {1}, 0), step({2}, {0}, 1)});
  CHECK(over.rounds == 2 && is_right(over, {0, 1}));
  // Launches of one call, and other columns of the same rows.
  CHECK(order_levels({step({}, {0}, 0), step({}, {0}, 0)}).rounds == 1);
  StepTouches left = step({}, {0}, 0), right = step({}, {0}, 1);
  right.touches[0].begin = 32, right.touches[0].end = 64;
  CHECK(order_levels({left, right}).rounds == 1);
  right.touches[0].distance = 64;  // then their rows are not known to lie side by side
  CHECK(order_levels({left, right}).rounds == 2);
}

}  // namespace

int main() {
  test_order();
  test_wide_levels();
  test_segments_that_cannot();
  test_random_programs<float>({8, 160, 18, 33}, 6);
  test_random_programs<double>({18, 40}, 2);
  return cavs_test::result();
}
