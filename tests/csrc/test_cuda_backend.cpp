// Programs run on the emulated GPU as on the CPU: the same values to rounding, one copy to the
// device for a sweep, and the memory that the dry run says.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "check.h"
#include "cuda/driver/counters.h"
#include "cuda/driver/current_stream.h"
#include "cuda/driver/gpus.h"
#include "cuda/sweep/graphs.h"
#include "runtime/dry_run.h"
#include "runtime/memory_plan.h"
#include "tree_program.h"

using namespace cavs;
using namespace cavs_test;

namespace {

// An array of the caller on the device.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values)
      : values_(values), block_(stream(), std::max<size_t>(1, bytes())) {
    stream().copy_to_device(block_.address(), values_.data(), bytes());
  }
  ExternalArray external() const {
    ExternalArray array;
    array.data = block_.template as<void>();
    array.elements = static_cast<int64_t>(values_.size());
    array.dtype = sizeof(T) == 8 ? DType::kFloat64 : DType::kInt32;
    return array;
  }
  const std::vector<T>& read() {
    stream().copy_to_host(values_.data(), block_.address(), bytes());
    stream().synchronize();
    return values_;
  }

 private:
  static const cuda::Stream& stream() { return cuda::current_stream(cuda::open_gpu(0)); }
  size_t bytes() const { return values_.size() * sizeof(T); }
  std::vector<T> values_;
  cuda::DeviceBlock block_;
};

struct Problem {
  std::mt19937 random;
  GraphBatch batch;
  Schedule schedule;
  Doubles e, w, u, dh;
  std::vector<int32_t> words;

  explicit Problem(unsigned seed)
      : random(seed),
        batch(random_batch(1 + static_cast<int>(seed), 30, random)),
        schedule(make_schedule(batch, Policy::kDepth)),
        e(random_doubles(kWords * kEmbedding, random)),
        w(random_doubles(kHidden * kEmbedding, random)),
        u(random_doubles(kHidden * kHidden, random)),
        dh(random_doubles(batch.num_vertices() * kHidden, random)) {
    for (int64_t v = 0; v < batch.num_vertices(); ++v) {
      words.push_back(static_cast<int32_t>(random() % kWords) - 1);
    }
  }
  std::vector<int64_t> keys() const {
    return std::vector<int64_t>(static_cast<size_t>(batch.num_graphs()));
  }
};

struct Results {
  Doubles h, g, du, dw, de;
  std::vector<int32_t> ids;
  int64_t peak = 0;
};

Results on_the_cpu(const ExecutablePtr& forward, const ExecutablePtr& backward, Problem& p) {
  Run run(forward, p.schedule, p.keys(), RandomContext{}, true);
  Results r;
  r.h.resize(p.dh.size());
  r.g.resize(static_cast<size_t>(p.batch.num_graphs() * kHidden));
  run.forward({{external(p.e), external(p.w), external(p.u)},
               {external(p.words)},
               {external(r.h), external(r.g)}},
              1);
  r.du.resize(kHidden * kHidden);
  r.dw.resize(kHidden * kEmbedding);
  r.de.resize(static_cast<size_t>(run.rows(kOfWords) * kEmbedding));
  r.ids.resize(static_cast<size_t>(run.rows(kOfWords)));
  run.backward(backward,
               {{external(p.e), external(p.w), external(p.u)},
                {external(p.dh)},
                {external(r.du), external(r.dw), external(r.de), external(r.ids)}},
               1);
  return r;
}

Results on_the_gpu(const ExecutablePtr& forward, const ExecutablePtr& backward, Problem& p) {
  OnDevice<double> e(p.e), w(p.w), u(p.u), dh(p.dh), h(Doubles(p.dh.size())),
      g(Doubles(static_cast<size_t>(p.batch.num_graphs() * kHidden)));
  Run run(forward, p.schedule, p.keys(), RandomContext{}, true);
  run.forward({{e.external(), w.external(), u.external()},
               {external(p.words)},
               {h.external(), g.external()}},
              1);
  OnDevice<double> du(Doubles(kHidden * kHidden)), dw(Doubles(kHidden * kEmbedding)),
      de(Doubles(static_cast<size_t>(run.rows(kOfWords) * kEmbedding)));
  OnDevice<int32_t> ids(std::vector<int32_t>(static_cast<size_t>(run.rows(kOfWords))));
  run.backward(backward,
               {{e.external(), w.external(), u.external()},
                {dh.external()},
                {du.external(), dw.external(), de.external(), ids.external()}},
               1);
  return {h.read(), g.read(), du.read(), dw.read(), de.read(), ids.read(), run.peak_bytes()};
}

bool is_near(const Doubles& a, const Doubles& b) {
  bool near = a.size() == b.size();
  for (size_t i = 0; near && i < a.size(); ++i) {
    near = std::abs(a[i] - b[i]) <= 1e-12 * (1 + std::abs(a[i]));
  }
  return near;
}

void test_values_of_the_cpu() {
  Backend& gpu = cuda_backend(0);
  const ExecutablePtr near_forward = load(forward_program());
  const ExecutablePtr near_backward = load(backward_program(near_forward->program), near_forward);
  const ExecutablePtr forward = make_executable(forward_program(), nullptr, gpu);
  const ExecutablePtr backward = make_executable(backward_program(forward->program), forward, gpu);
  for (const unsigned seed : {1U, 2U, 5U, 20U}) {
    Problem p(seed);
    const Results want = on_the_cpu(near_forward, near_backward, p);
    const Results got = on_the_gpu(forward, backward, p);
    CHECK(is_near(want.h, got.h) && is_near(want.g, got.g));
    CHECK(is_near(want.du, got.du) && is_near(want.dw, got.dw) && is_near(want.de, got.de));
    CHECK(want.ids == got.ids);
    int64_t planned = 0;
    const std::vector<int64_t> words = {static_cast<int64_t>(got.ids.size())};
    for (const SweepMemory& sweep :
         plan_sweeps(*forward, backward.get(), p.schedule, words, true, 1)) {
      planned = std::max(planned, sweep.total);
    }
    CHECK(planned == got.peak);
  }
}

// What the emulated driver has counted since the last call; see Counts in its emulator.h.
struct Counts {
  int64_t launches, cooperative_launches, graph_launches, products;
  int64_t copies_to_device, copies_to_host, bytes_to_device, bytes_to_host;
};
Counts counted() {
  const auto ask = reinterpret_cast<int (*)(int64_t*, int, int)>(
      cuda::emulator_function("cavs_emulator_counts"));
  Counts counts{};
  ask(reinterpret_cast<int64_t*>(&counts), sizeof(Counts) / sizeof(int64_t), 1);
  return counts;
}

// Forward over arrays that stay where they are: the first time launch by launch, then as a graph,
// with one copy to the device each time.
void test_batches_that_repeat() {
  const ExecutablePtr forward = make_executable(forward_program(), nullptr, cuda_backend(0));
  Problem p(5);
  OnDevice<double> e(p.e), w(p.w), u(p.u), h(Doubles(p.dh.size())),
      g(Doubles(static_cast<size_t>(p.batch.num_graphs() * kHidden)));
  const auto run = [&] {
    Run run(forward, p.schedule, p.keys(), RandomContext{}, false);
    run.forward({{e.external(), w.external(), u.external()},
                 {external(p.words)},
                 {h.external(), g.external()}},
                1);
  };
  counted();
  run();
  const Counts first = counted();
  const Doubles want = h.read();
  CHECK(first.launches + first.cooperative_launches > 5 && first.graph_launches == 0 &&
        first.copies_to_device == 1);
  CHECK(first.copies_to_host == 0);  // nobody waited
  for (int i = 0; i < 3; ++i) {
    std::swap(p.words[0], p.words[1]);  // its tables change, no address
    counted();
    run();
    const Counts again = counted();
    CHECK(again.graph_launches == 1 && again.copies_to_device == 1);
  }
  run();  // its integers are known: from now on they stand on the device
  counted();
  for (int i = 0; i < 3; ++i) run();
  CHECK(counted().copies_to_device == 0);
  cuda::set_uses_graphs(false);
  run();
  const Doubles plain = h.read();
  cuda::set_uses_graphs(true);
  run();
  CHECK(h.read() == plain && plain != want);
}

// A capture that another library's call ended: launches go on, and it is not tried again.
void test_captures_that_are_lost() {
  const auto lose =
      reinterpret_cast<void (*)(int)>(cuda::emulator_function("cavs_emulator_lose_captures"));
  if (lose == nullptr) return;
  const ExecutablePtr forward = make_executable(forward_program(), nullptr, cuda_backend(0));
  Problem p(5);
  OnDevice<double> e(p.e), w(p.w), u(p.u), h(Doubles(p.dh.size())),
      g(Doubles(static_cast<size_t>(p.batch.num_graphs() * kHidden)));
  Doubles want;
  lose(1);
  const int64_t before = cuda::counters().lost_captures;
  for (int i = 0; i < 5; ++i) {
    Run run(forward, p.schedule, p.keys(), RandomContext{}, false);
    counted();
    run.forward({{e.external(), w.external(), u.external()},
                 {external(p.words)},
                 {h.external(), g.external()}},
                1);
    const Counts counts = counted();
    CHECK(counts.launches + counts.cooperative_launches > 5 && counts.graph_launches == 0);
    if (i == 0) want = h.read();
    CHECK(h.read() == want);
  }
  lose(0);
  // Once where the batch comes again, and once where it has got a block of its own.
  const int64_t lost = cuda::counters().lost_captures - before;
  CHECK(lost == 1 || lost == 2);
}

// The gradient of U needs the levels, that of the embeddings does not need it: they go on streams
// of their own, which give the values of one.
void test_streams() {
  for (const bool streams : {true, false}) {
    Program first = forward_program();
    first.streams = streams;
    const ExecutablePtr forward = make_executable(first, nullptr, cuda_backend(0));
    Program second = backward_program(forward->program);
    second.streams = streams;
    const ExecutablePtr backward = make_executable(second, forward, cuda_backend(0));
    const ExecutablePtr near = load(forward_program());
    Problem p(9);
    const Results want = on_the_cpu(near, load(backward_program(near->program), near), p);
    const Results got = on_the_gpu(forward, backward, p);
    CHECK(is_near(want.du, got.du) && is_near(want.dw, got.dw) && is_near(want.de, got.de));
  }
}

}  // namespace

int main() {
  test_values_of_the_cpu();
  test_batches_that_repeat();
  test_captures_that_are_lost();
  test_streams();
  return cavs_test::result();
}
