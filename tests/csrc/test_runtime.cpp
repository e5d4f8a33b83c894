// Programs over random graphs against plain loops, for every way to cut rows into chunks and
// threads.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "check.h"
#include "cpu/threads.h"
#include "runtime/dry_run.h"
#include "tree_program.h"

using namespace cavs;
using namespace cavs_test;

namespace {

struct Problem {
  std::mt19937 random;
  GraphBatch batch;
  Schedule schedule;
  Doubles e, w, u, dh;
  std::vector<int32_t> words;

  Problem(unsigned seed, int graphs, int vertices, Policy policy = Policy::kDepth)
      : random(seed),
        batch(random_batch(graphs, vertices, random)),
        schedule(make_schedule(batch, policy)),
        e(random_doubles(kWords * kEmbedding, random)),
        w(random_doubles(kHidden * kEmbedding, random)),
        u(random_doubles(kHidden * kHidden, random)),
        dh(random_doubles(batch.num_vertices() * kHidden, random)) {
    for (int64_t v = 0; v < batch.num_vertices(); ++v) {
      words.push_back(static_cast<int32_t>(random() % kWords) - 1);
    }
  }
};

struct Results {
  Doubles h, g, du, dw, de;  // de: dense, by word
};

// The definition, vertex by vertex in the user's order (children come before their parents).
Results expected(const Problem& p) {
  const int64_t count = p.batch.num_vertices();
  Results r{Doubles(count * kHidden), Doubles(p.batch.num_graphs() * kHidden),
            Doubles(kHidden * kHidden), Doubles(kHidden * kEmbedding),
            Doubles(kWords * kEmbedding)};
  const auto x = [&](int64_t v, int64_t j) {
    return p.words[v] < 0 ? 0.0 : p.e[p.words[v] * kEmbedding + j];
  };
  for (int64_t g = 0, v = 0; v < count; ++v) {
    while (v >= p.batch.ptr[g + 1]) ++g;
    for (int64_t i = 0; i < kHidden; ++i) {
      double z = 0;
      for (int64_t j = 0; j < kEmbedding; ++j) z += p.w[i * kEmbedding + j] * x(v, j);
      for (int32_t s = p.batch.child_ptr[v]; s < p.batch.child_ptr[v + 1]; ++s) {
        const double* child = &r.h[p.batch.children()[s] * kHidden];
        for (int64_t j = 0; j < kHidden; ++j) z += p.u[i * kHidden + j] * child[j];
      }
      r.h[v * kHidden + i] = std::tanh(z);
      r.g[g * kHidden + i] += r.h[v * kHidden + i];
    }
  }
  Doubles dh = p.dh;
  for (int64_t v = count - 1; v >= 0; --v) {
    for (int64_t i = 0; i < kHidden; ++i) {
      const double h = r.h[v * kHidden + i], dz = dh[v * kHidden + i] * (1 - h * h);
      for (int64_t j = 0; j < kEmbedding; ++j) {
        r.dw[i * kEmbedding + j] += dz * x(v, j);
        if (p.words[v] >= 0) r.de[p.words[v] * kEmbedding + j] += dz * p.w[i * kEmbedding + j];
      }
      for (int32_t s = p.batch.child_ptr[v]; s < p.batch.child_ptr[v + 1]; ++s) {
        const int64_t child = p.batch.children()[s];
        for (int64_t j = 0; j < kHidden; ++j) {
          r.du[i * kHidden + j] += dz * r.h[child * kHidden + j];
          dh[child * kHidden + j] += dz * p.u[i * kHidden + j];
        }
      }
    }
  }
  return r;
}

bool close(const Doubles& a, const Doubles& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) {
    same = std::abs(a[i] - b[i]) <= 1e-11 * (1 + std::abs(b[i]));
  }
  return same;
}

struct Pair {
  ExecutablePtr forward = load(forward_program());
  ExecutablePtr backward = load(backward_program(forward->program), forward);
};

ArrayLists forward_arrays(Problem& p, Results* r) {
  r->h.assign(p.dh.size(), 0);
  r->g.assign(p.batch.num_graphs() * kHidden, 0);
  return {{external(p.e), external(p.w), external(p.u)},
          {external(p.words)},
          {external(r->h), external(r->g)}};
}

Run make_run(const ExecutablePtr& exe, const Problem& p, bool keep) {
  return Run(exe, p.schedule, std::vector<int64_t>(p.batch.num_graphs()), RandomContext{}, keep);
}

int64_t plan_bytes(const Executable& exe, const Executable* backward, const Schedule& schedule,
                   const std::vector<int64_t>& unique_rows, bool keep, int num_threads) {
  int64_t bytes = 0;
  for (const SweepMemory& sweep :
       plan_sweeps(exe, backward, schedule, unique_rows, keep, num_threads)) {
    bytes = std::max(bytes, sweep.total);
  }
  return bytes;
}

Results computed(const Pair& pair, Problem& p, int threads) {
  Results r;
  Run run = make_run(pair.forward, p, true);
  run.set_profile(true);
  run.forward(forward_arrays(p, &r), threads);
  const int64_t distinct = run.rows({SpaceKind::kUnique, 0});
  r.du.assign(kHidden * kHidden, 7);
  r.dw.assign(kHidden * kEmbedding, 7);
  Doubles de(distinct * kEmbedding);
  std::vector<int32_t> ids(distinct);
  run.backward(
      pair.backward,
      {{}, {external(p.dh)}, {external(r.du), external(r.dw), external(de), external(ids)}},
      threads);
  r.de.assign(kWords * kEmbedding, 0);
  for (int64_t i = 0; i < distinct; ++i) {
    CHECK(i == 0 || ids[i] > ids[i - 1]);
    for (int64_t j = 0; ids[i] >= 0 && j < kEmbedding; ++j) {
      r.de[ids[i] * kEmbedding + j] = de[i * kEmbedding + j];
    }
  }
  CHECK(run.peak_bytes() ==
        plan_bytes(*pair.forward, pair.backward.get(), p.schedule, {distinct}, true, threads));
  CHECK(run.profile_records().size() == 20);
  return r;
}

void check_problem(const Pair& pair, Problem p, int threads) {
  const Results want = expected(p), got = computed(pair, p, threads);
  CHECK(close(got.h, want.h));
  CHECK(close(got.g, want.g));
  CHECK(close(got.du, want.du));
  CHECK(close(got.dw, want.dw));
  CHECK(close(got.de, want.de));
  Results alone;
  Run inference = make_run(pair.forward, p, false);
  inference.forward(forward_arrays(p, &alone), threads);
  CHECK(close(alone.h, want.h) && close(alone.g, want.g));
  CHECK(inference.peak_bytes() == plan_bytes(*pair.forward, nullptr, p.schedule,
                                             {inference.rows({SpaceKind::kUnique, 0})}, false,
                                             threads));
}

Doubles gradients_of(Run& run, const Pair& pair, Problem& p, int threads, bool retain) {
  const int64_t distinct = run.rows({SpaceKind::kUnique, 0});
  const int64_t du = kHidden * kHidden, dw = kHidden * kEmbedding;
  Doubles all(du + dw + distinct * kEmbedding, 7);
  std::vector<int32_t> ids(distinct);
  const auto part = [&](int64_t first, int64_t count) {
    return ExternalArray{all.data() + first, count, DType::kFloat64};
  };
  run.backward(pair.backward,
               {{},
                {external(p.dh)},
                {part(0, du), part(du, dw), part(du + dw, distinct * kEmbedding), external(ids)}},
               threads, retain);
  return all;
}

// A backward that retains writes over nothing that another one reads.
void test_retained(int64_t graphs, int threads) {
  const Pair pair;
  Problem p(10, graphs, 30);
  Results r, other;
  Run fresh = make_run(pair.forward, p, true), kept = make_run(pair.forward, p, true);
  fresh.forward(forward_arrays(p, &r), threads);
  const Doubles want = gradients_of(fresh, pair, p, threads, false);
  CHECK_THROWS(gradients_of(fresh, pair, p, threads, true), Error, "retain=True");
  kept.forward(forward_arrays(p, &other), threads);
  for (const bool retain : {true, true, false}) {
    CHECK(gradients_of(kept, pair, p, threads, retain) == want);
  }
  CHECK_THROWS(gradients_of(kept, pair, p, threads, true), Error, "got a second one");
  const std::vector<int64_t> distinct = {kept.rows({SpaceKind::kUnique, 0})};
  int64_t planned = 0;
  for (const SweepMemory& sweep :
       plan_sweeps(*pair.forward, pair.backward.get(), p.schedule, distinct, true, threads, true)) {
    planned = std::max(planned, sweep.total);
  }
  CHECK(kept.peak_bytes() == planned && planned >= fresh.peak_bytes());
}

void test_all_cuts() {
  for (const int64_t chunk : {1, 3, 64, 256}) {
    ExecutionOptions options;
    options.chunk_rows = chunk;
    options.min_parallel_rows = 2;
    options.min_parallel_ns = 0;
    options.min_team_ns = 0;
    set_execution_options(options);
    const Pair pair;
    for (const int threads : {1, 2, 4}) {
      check_problem(pair, Problem(1, 1, 1), threads);
      check_problem(pair, Problem(2, 0, 1), threads);
      check_problem(pair, Problem(3, 7, 30), threads);
      check_problem(pair, Problem(4, 3, 30, Policy::kSerial), threads);
      check_problem(pair, Problem(5, 40, 40), threads);
    }
  }
  set_execution_options({});
  const Pair pair;
  check_problem(pair, Problem(6, 200, 60), 2);
}

// One vertex with more children than a chunk takes edges.
void test_many_children() {
  Problem p(7, 1, 1);
  const int64_t leaves = 3000;
  std::vector<int64_t> child_ptr(static_cast<size_t>(leaves) + 1, 0), children;
  for (int64_t i = 0; i < leaves; ++i) children.push_back(i);
  child_ptr.push_back(leaves);
  p.batch = make_graph_batch({0, leaves + 1}, child_ptr, children);
  p.schedule = make_schedule(p.batch, Policy::kDepth);
  p.dh = random_doubles((leaves + 1) * kHidden, p.random);
  p.words.assign(leaves + 1, 3);
  const Pair pair;
  Results want = expected(p), got = computed(pair, p, 2);
  CHECK(close(got.h, want.h) && close(got.du, want.du) && close(got.de, want.de));
}

void test_locals() {
  const Pair pair;
  const Layout &kept = pair.forward->kept, &dropped = pair.forward->dropped;
  for (const int id : {kIds, kGathered, kProduct, kAll}) CHECK(kept.confined[id] >= 0);
  for (const int id : {kX, kXw, kH}) CHECK(kept.confined[id] < 0);
  CHECK(dropped.confined[kX] >= 0 && dropped.confined[kH] < 0);
  const CpuProgram& prepared = cpu_program(*pair.forward);
  for (size_t id = 0; id < kept.confined.size(); ++id) {
    CHECK((prepared.kept.number[id] >= 0) == (kept.confined[id] >= 0));
    CHECK((prepared.dropped.number[id] >= 0) == (dropped.confined[id] >= 0));
    CHECK(kept.confined[id] < 0 || kept.last[id] < 0);  // not in the arena
  }
  CHECK(pair.forward->forms[kLeft].ld == 32 && pair.forward->roots[kLeft].column == 2);
}

// dz is written by the group that reads d h for the last time, from the same rows; h, whose
// children read it later, keeps its own.
void test_rows_that_are_given_on() {
  const Pair pair;
  const auto find = [&](const std::string& name) {
    const auto& values = pair.backward->program.values;
    return static_cast<int>(std::find_if(values.begin(), values.end(),
                                         [&](const auto& value) { return value.name == name; }) -
                            values.begin());
  };
  const int given = find("dh own"), taker = find("dz");
  const Layout& layout = pair.backward->kept;
  CHECK(layout.places[taker].holder == given && layout.places[taker].ld == 32);
  CHECK(layout.held_last[taker] < 0 && layout.held_last[given] == layout.last[taker]);
  for (const int id : {int{kX}, int{kH}, given}) CHECK(layout.places[id].holder == id);

  // Not where another row reads it in that segment.
  Program program = backward_program(pair.forward->program);
  program.segments[1].instructions[0].inputs = {given};
  program.segments[1].instructions[0].tables = {{TableKind::kChildRows, 0}};
  const auto changed = load(program, pair.forward);
  CHECK(changed->kept.places[taker].holder == taker);
}

// Where another backward may follow, no value takes over rows of forward, and all of these stay.
void test_rows_that_are_retained() {
  const Pair pair;
  const Layout& layout = pair.backward->backward_layout(true);
  const Layout& forward = pair.forward->kept;
  for (size_t id = 0; id < layout.places.size(); ++id) {
    const bool own = id >= forward.last.size();
    const auto holder = static_cast<size_t>(layout.places[id].holder);
    if (own) CHECK(holder >= forward.last.size());
    if (own || forward.last[id] != pair.forward->steps.count()) continue;
    CHECK(layout.first[id] == 0 && layout.last[id] == pair.backward->steps.count());
  }
  CHECK(layout.last[kX] == pair.backward->steps.count());
  CHECK(pair.backward->kept.last[kX] < pair.backward->steps.count());
}

void test_order_of_calls() {
  const Pair pair;
  Problem p(8, 3, 9);
  Results r;
  const ArrayLists arrays = forward_arrays(p, &r);
  Run run = make_run(pair.forward, p, true);
  CHECK_THROWS(run.backward(pair.backward, {}, 1), Error, "expected forward() before");
  run.forward(arrays, 1);
  CHECK_THROWS(run.forward(arrays, 1), Error, "expected a new run");
  CHECK_THROWS(run.backward(Pair().backward, {}, 1), Error, "backward program of this run");
  CHECK_THROWS(run.backward(pair.backward, {}, 1), Error, "[runtime] expected 1 input arrays");
  Run once = make_run(pair.forward, p, false);
  once.forward(arrays, 1);
  CHECK_THROWS(once.backward(pair.backward, {}, 1), Error, "keep=False");
  CHECK_THROWS(Run(pair.forward, p.schedule, {}, RandomContext{}, true), Error, "one key for each");
  CHECK_THROWS(Run(pair.backward, p.schedule, {0, 0, 0}, RandomContext{}, true), Error,
               "forward program");
}

void test_arrays() {
  const Pair pair;
  Problem p(9, 3, 9);
  Results r;
  const auto forward = [&](ArrayLists arrays) {
    make_run(pair.forward, p, true).forward(arrays, 1);
  };
  ArrayLists arrays = forward_arrays(p, &r);
  arrays.outputs[0].elements -= 1;
  CHECK_THROWS(forward(arrays), Error, "elements for output 'h'");
  arrays = forward_arrays(p, &r);
  arrays.params[1].dtype = DType::kFloat32;
  CHECK_THROWS(forward(arrays), Error, "expected float64 for parameter 'W', got float32");
  arrays = forward_arrays(p, &r);
  arrays.inputs.clear();
  CHECK_THROWS(forward(arrays), Error, "ids of 'word'");
  p.words[1] = -2;
  CHECK_THROWS(forward(forward_arrays(p, &r)), Error, "got -2 at position 1");
}

void throwing_kernel(const KernelCall& call) {
  if (call.row_end > 20) throw Error(ErrorKind::kValue, "[test] a kernel failed");
}

void test_kernel_that_throws() {
  ExecutionOptions options;
  options.min_parallel_rows = 2;
  options.min_parallel_ns = 0;
  options.min_team_ns = 0;
  set_execution_options(options);
  for (const int threads : {1, 2, 4}) {
    const auto broken = load(forward_program());
    calls_of(*broken)[static_cast<size_t>(cpu_program(*broken).segments[1].call_begin) + 2]
        .function = throwing_kernel;
    Problem p(10, 20, 30);
    Results r;
    Run run = make_run(broken, p, true);
    CHECK_THROWS(run.forward(forward_arrays(p, &r), threads), Error, "a kernel failed");
    CHECK_THROWS(run.forward(forward_arrays(p, &r), threads), Error, "expected a new run");
  }
  set_execution_options({});
}

// Long products are worth a meeting, short ones are not, nor those whose results are most of the
// work: they would have to be brought back.
void test_what_is_worth_splitting() {
  ExecutionOptions options;
  Instruction product;
  const auto worth = [&](int64_t m, int64_t k, int64_t n, int64_t rows) {
    product.kernel = kernel_named("matmul");
    product.attributes = MatmulAttributes{false, true, m, k, n};
    return worth_splitting(options, DType::kFloat32, product, rows);
  };
  CHECK(worth(1, 1 << 20, 64, 1));
  CHECK(!worth(1, 16, 16, 1));
  for (const int64_t rows : {1, 8, 64}) CHECK(!worth(50, 2, 1000, rows));
  options.min_split_ns = 0;
  CHECK(worth(1, 16, 16, 1));
}

}  // namespace

int main() {
  test_what_is_worth_splitting();
  test_locals();
  test_rows_that_are_given_on();
  test_rows_that_are_retained();
  for (const int threads : {1, 2}) {
    test_retained(7, threads);
    test_retained(200, threads);
  }
  test_order_of_calls();
  test_arrays();
  test_kernel_that_throws();
  test_all_cuts();
  test_many_children();
  return cavs_test::result();
}
