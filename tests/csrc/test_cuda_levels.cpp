// Levels that go together in one launch give the bits that they give by launches of their
// instructions, with few barriers.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "check.h"
#include "cuda/current_stream.h"
#include "cuda/levels.h"
#include "cuda/prepared.h"
#include "cuda_arrays.h"
#include "random_levels.h"

using namespace cavs;
using namespace cavs_test;
using cavs::cuda::LevelsOrder;
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
      : batch(std::move(graphs)), schedule(make_schedule(batch, Policy::kBatching)) {
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
void compare(const Programs& programs, GraphBatch graphs, std::mt19937& random) {
  const Batch<T> batch(std::move(graphs), programs.form.width, random);
  const Results<T> apart = results_of(programs, batch, false);
  const Results<T> together = results_of(programs, batch, true);
  CHECK(have_same_bits(apart, together));
  CHECK(apart.forward.together == 0 && apart.backward.together == 0);
  if (!is_emulated() || batch.schedule.num_levels() < 3) return;
  CHECK(together.forward.together == 1 && together.backward.together == 1);
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
    compare<T>(random_programs, random_batch(3, 25, random), random);
    compare<T>(random_programs, chain(1 + static_cast<int>(seed * 5 % 50)), random);
    if (seed == 0) compare<T>(random_programs, chain(1), random);
  }
}

}  // namespace

int main() {
  test_random_programs<float>({8, 18, 33, 160}, 8);
  test_random_programs<double>({18, 40}, 4);
  return cavs_test::result();
}
