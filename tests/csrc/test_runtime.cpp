// Programs over random graphs against plain loops, for every way to cut rows into chunks and
// threads.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

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

  Problem(unsigned seed, int graphs, int vertices, Policy policy = Policy::kBatching)
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
        const double* child = &r.h[p.batch.children[s] * kHidden];
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
        const int64_t child = p.batch.children[s];
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
  p.schedule = make_schedule(p.batch, Policy::kBatching);
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

// Each change of a program that works makes one that is refused.
void test_malformed_programs() {
  const auto refused = [](auto change, const std::string& text) {
    Program program = forward_program();
    change(program);
    std::string message = "nothing was thrown";
    try {
      make_executable(program, nullptr);
    } catch (const Error& error) {
      message = error.what();
    }
    const bool found = message.find(text) != std::string::npos;
    if (!found) report(__FILE__, __LINE__, "expected " + text + ", got " + message);
  };
  const auto call = [](Program& p, int s, int i) -> Instruction& {
    return p.segments[s].instructions[i];
  };
  CHECK_THROWS(kernel_named("no such kernel"), Error, "no such kernel");
  const auto matmul = [&](Program& p) -> MatmulAttributes& {
    return std::get<MatmulAttributes>(call(p, 0, 2).attributes);
  };
  const auto group = [&](Program& p) -> Group& {
    return std::get<Group>(call(p, 1, 3).attributes);
  };
  refused([&](Program& p) { call(p, 0, 1).inputs[0] = 99; }, "expected a value of 0..14");
  refused([&](Program& p) { std::get<EmbeddingAttributes>(call(p, 0, 1).attributes).count = 51; },
          "in 'embedding'");
  refused([&](Program& p) { matmul(p).n = 19; }, "in 'matmul'");
  refused([&](Program& p) { call(p, 0, 2).attributes = AxisAttributes{}; }, "own attributes");
  refused([&](Program& p) { call(p, 0, 2).inputs.push_back(kX); }, "2 inputs and one output");
  const auto masked = [&](Program& p, int mask, bool by_id) {
    Instruction& product = call(p, 0, 2);
    product.kernel = kernel_named("matmul_masked");
    product.inputs.push_back(mask);
    product.attributes = MaskedMatmulAttributes{matmul(p), by_id};
  };
  {
    Program p = forward_program();
    masked(p, kIds, true);
    make_executable(p, nullptr);
  }
  refused([&](Program& p) { masked(p, kIds, false); }, "one int32 per row");
  refused([&](Program& p) { masked(p, kX, false); }, "a mask of one element");
  refused([&](Program& p) { masked(p, kX, true); }, "one int32 per row");
  refused([&](Program& p) { call(p, 0, 2).kernel = kernel_named("matmul_masked"); },
          "own attributes");
  refused([&](Program& p) { masked(p, kIds, true), call(p, 0, 2).inputs.push_back(kIds); },
          "3 inputs and one output");
  refused([&](Program& p) { group(p).width = 9; }, "in 'fused'");
  refused([&](Program& p) { group(p).calls[0].op = 999; }, "known operations");
  refused([&](Program& p) { group(p).calls[0].arguments[0] = 2; }, "earlier calls");
  refused([&](Program& p) { group(p).calls[1].arguments[1] = 0; }, "as the operation takes");
  refused([&](Program& p) { group(p).outputs = {0}; }, "outputs that calls make");
  refused([&](Program& p) { group(p).outputs.clear(); }, "one output or more");
  refused([&](Program& p) { group(p).inputs.pop_back(); }, "earlier calls");
  refused([&](Program& p) { group(p).inputs[0].read = Read::kRow; }, "as their tables say");
  refused([&](Program& p) { group(p).inputs[0].narrow = true; }, "or of size 1");
  refused([&](Program& p) { call(p, 1, 0).tables[0] = {}; }, "expected a table from 'edge'");
  refused([&](Program& p) { call(p, 1, 0).tables[0] = {TableKind::kUnique, 5}; }, "a unique");
  refused([&](Program& p) { call(p, 1, 1).tables = {{TableKind::kSiblings, 0}}; }, "no 'siblings'");
  refused([&](Program& p) { call(p, 1, 0).tables = {{TableKind::kSlot, -1}}; }, "0..65535, got -1");
  refused([&](Program& p) { call(p, 1, 0).tables = {{TableKind::kSlot, 1 << 16}}; }, "got 65536");
  refused([&](Program& p) { call(p, 1, 1).kernel = kernel_named("segment_softmax"); },
          "in 'segment_softmax'");
  refused([&](Program& p) { p.values[kH].space = {SpaceKind::kInner, -1}; },
          "expected a table from 'edge' to 'inner'");
  refused([&](Program& p) { call(p, 1, 2).outputs[0] = kU; }, "to write a value");
  refused([&](Program& p) { call(p, 1, 2).outputs[0] = kProduct; }, "to write rows of 'vertex'");
  refused([&](Program& p) { call(p, 1, 2).space = {SpaceKind::kGraph, -1}; },
          "rows of its segment");
  refused([](Program& p) { std::swap(p.segments[0], p.segments[1]); }, "to be written before");
  refused([](Program& p) { p.segments[1].kind = SegmentKind::kRows; }, "to be written before");
  refused([](Program& p) { p.segments[1].kind = SegmentKind::kGlobal; }, "got a global one");
  refused([](Program& p) { p.values[kSum].column = 3; }, "within the 20");
  refused([](Program& p) { p.values[kAll].role = Role::kView, p.values[kAll].base = kAll; },
          "owns memory");
  refused([](Program& p) { p.values[kH].size = 0; }, "elements in a row of 'h'");
  refused([](Program& p) { p.values[kU].space = {SpaceKind::kVertex, -1}; }, "space 'none'");
  refused([](Program& p) { p.saved = {-1}; }, "list of saved values");
  refused([](Program& p) { p.uniques[0].inputs = {-1}; }, "to be an input");
  refused([](Program& p) { p.uniques[0].inputs = {}; }, "got 0 inputs");
  refused([](Program& p) { p.uniques[0].inputs = {0, 1}, p.uniques[0].rows = 9; }, "got 2 inputs");
  const Space words{SpaceKind::kUnique, 0}, vertices{SpaceKind::kVertex, -1};
  const auto with = [&](UniqueSpec more) { return [=](Program& p) { p.uniques.push_back(more); }; };
  refused(with({"x", {}, words, 0, 1}), "counted before in unique 'x', got numbers 1 and 0");
  refused(with({"x", {}, vertices, 0, 0}), "got numbers 0 and -1");
  refused(with({"x", {}, words, 8, 0}), "among the same rows");
  refused(with({"x", {0}, words, 0, -1}), "over vertices, edges or graphs");
  refused(
      [&](Program& p) {
        p.uniques.push_back({"x", {}, words, 0, 0});
        p.values[kX].space.unique = 1;
      },
      "as the space of 'x', got number 1");
  refused([](Program& p) { p.device = Device::kCuda; }, "no backend is built");

  const auto forward = make_executable(forward_program(), nullptr);
  Program backward = backward_program(forward->program);
  backward.segments[1].instructions[1].inputs[2] = kXw;
  backward.segments[1].instructions[1].tables[2] = {TableKind::kUnique, 0};
  CHECK_THROWS(make_executable(backward, forward), Error, "saved values");
  backward = backward_program(forward->program);
  Instruction& sum = backward.segments.back().instructions[0];
  sum.inputs = {sum.inputs[0], sum.inputs[1], sum.outputs[0], sum.outputs[0]};
  CHECK_THROWS(make_executable(backward, forward), Error, "inputs and one output");
  sum.inputs = {sum.inputs[0], sum.inputs[1], kU};
  CHECK_THROWS(make_executable(backward, forward), Error, "inputs and one output");
  backward = backward_program(forward->program);
  backward.segments[1].instructions[0].tables[0] = {TableKind::kParentRows, 0};
  CHECK_THROWS(make_executable(backward, forward), Error, "a table from 'vertex' to 'edge'");
  backward.segments[1].instructions[0].inputs[0] = backward.segments[1].instructions[1].outputs[0];
  make_executable(backward, forward);
  backward.segments[1].instructions[0].tables[0].argument = 2;
  CHECK_THROWS(make_executable(backward, forward), Error, "expected 36 columns");
  backward = backward_program(forward->program);
  Instruction& by_id = backward.segments[4].instructions[1];
  by_id.tables = {{TableKind::kUniqueParents, 0}};
  CHECK_THROWS(make_executable(backward, forward), Error, "from 'unique:word' to 'vertex'");
}

void test_unique_tables() {
  std::mt19937 random(3);
  for (const int32_t greatest : {1, 60, 100000, 2147483647}) {
    const int64_t count = 500;
    std::vector<int32_t> ids, order;
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(i % 7 == 0 ? -1 : static_cast<int32_t>(random() % greatest));
      order.push_back(static_cast<int32_t>(i));
    }
    ids[3] = greatest;
    std::shuffle(order.begin(), order.end(), random);
    const int64_t first = random() % 100, last = count - random() % 100;
    std::map<int32_t, std::vector<int32_t>> want;
    for (int64_t r = first; r < last; ++r) {
      want[ids[order[r]]].push_back(static_cast<int32_t>(r));
    }
    std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(count)));
    UniqueTable table = unique_table_at(memory.data(), count, 0);
    build_unique("ids", ids.data(), order.data(), first, last, &table);
    CHECK(table.rows == static_cast<int64_t>(want.size()));
    int64_t u = 0;
    for (const auto& [id, rows] : want) {
      CHECK(table.ids[u] == id && table.ptr[u + 1] - table.ptr[u] == static_cast<int>(rows.size()));
      CHECK(std::equal(rows.begin(), rows.end(), table.list + table.ptr[u]));
      for (const int32_t r : rows) CHECK(table.index[r] == u);
      ++u;
    }
  }
}

void test_tuples() {
  std::mt19937 random(5);
  for (const int parts : {2, 3}) {
    const int64_t count = 400, first = 20, last = 390;
    std::vector<int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<std::vector<int32_t>> ids(static_cast<size_t>(parts));
    std::vector<const int32_t*> given;
    for (auto& part : ids) {
      for (int64_t i = 0; i < count; ++i) part.push_back(static_cast<int32_t>(random() % 5) - 1);
      given.push_back(part.data());
    }
    std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(count)));
    UniqueTable tuples = unique_table_at(memory.data(), count, 0);
    build_unique_tuples("ids", given, order.data(), first, last, &tuples);
    std::map<std::vector<int32_t>, std::vector<int32_t>> want;
    for (int64_t r = first; r < last; ++r) {
      std::vector<int32_t> tuple;
      for (const auto& part : ids) tuple.push_back(part[order[r]]);
      want[tuple].push_back(static_cast<int32_t>(r));
    }
    CHECK(tuples.rows == static_cast<int64_t>(want.size()));
    for (const auto& [tuple, rows] : want) {
      const int32_t u = tuples.index[rows[0]];
      CHECK(tuples.ptr[u + 1] - tuples.ptr[u] == static_cast<int>(rows.size()));
      CHECK(std::equal(rows.begin(), rows.end(), tuples.list + tuples.ptr[u]));
    }
    std::vector<std::byte> more(static_cast<size_t>(2 * unique_table_bytes(count)));
    UniqueTable part = unique_table_at(more.data(), count, 0);
    UniqueTable among = unique_table_at(more.data() + unique_table_bytes(count), count, 0);
    build_unique("ids", given[1], order.data(), first, last, &part);
    list_tuples(tuples, part, given[1], order.data(), true, &among);
    CHECK(among.rows == part.rows && among.ptr[among.rows] == tuples.rows);
    for (const auto& [tuple, rows] : want) {
      const int32_t u = tuples.index[rows[0]];
      CHECK(among.ids[u] == tuple[1] && part.ids[among.index[u]] == tuple[1]);
    }
    for (int64_t u = 0; u < among.rows; ++u) {
      for (int32_t i = among.ptr[u]; i < among.ptr[u + 1]; ++i) {
        CHECK(among.index[among.list[i]] == u);
      }
    }
  }
  UniqueTable none = unique_table_at(nullptr, 0, 0);
  std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(0)));
  none = unique_table_at(memory.data(), 0, 0);
  build_unique_tuples("ids", {nullptr, nullptr}, nullptr, 0, 0, &none);
  CHECK(none.rows == 0);
}

void test_lists_of_parents() {
  Problem p(11, 20, 30);
  std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(p.schedule.num_vertices)));
  UniqueTable table = unique_table_at(memory.data(), p.schedule.num_vertices, 0);
  build_unique("word", p.words.data(), p.schedule.vertex_order.data(), 0, p.schedule.num_leaves,
               &table);
  std::map<int32_t, std::vector<int32_t>> want;  // by row of the unique
  for (int64_t r = 0; r < p.schedule.num_leaves; ++r) {
    std::vector<int32_t>& edges = want[table.index[r]];
    for (int64_t e = 0; e < p.schedule.num_edges; ++e) {
      if (p.schedule.child[e] == r) edges.push_back(static_cast<int32_t>(e));
    }
  }
  const int64_t edges = p.schedule.out_ptr[p.schedule.num_leaves];
  std::vector<std::byte> lists(static_cast<size_t>(unique_parents_bytes(table.rows, edges)));
  UniqueParents parents = unique_parents_at(lists.data(), table.rows, edges);
  list_parents(table, p.schedule, &parents);
  CHECK(parents.ptr[0] == 0 && parents.ptr[table.rows] == edges);
  for (const auto& [u, list] : want) {
    CHECK(std::equal(list.begin(), list.end(), parents.edge + parents.ptr[u],
                     parents.edge + parents.ptr[u + 1]));
    for (int32_t i = parents.ptr[u]; i < parents.ptr[u + 1]; ++i) {
      CHECK(parents.parent[i] == p.schedule.parent[parents.edge[i]]);
    }
  }
}

}  // namespace

int main() {
  test_lists_of_parents();
  test_unique_tables();
  test_tuples();
  test_malformed_programs();
  test_what_is_worth_splitting();
  test_locals();
  test_rows_that_are_given_on();
  test_order_of_calls();
  test_arrays();
  test_kernel_that_throws();
  test_all_cuts();
  test_many_children();
  return cavs_test::result();
}
