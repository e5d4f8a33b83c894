// One program and one batch in several threads at once, each with helpers of the pool: under
// ThreadSanitizer this is the engine without the interpreter.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "base/native_calls.h"
#include "base/thread_pool.h"
#include "check.h"
#include "memory/arena.h"
#include "runtime/dry_run.h"
#include "tree_program.h"

using namespace cavs;
using namespace cavs_test;

namespace {

struct Problem {
  std::mt19937 random{5};
  GraphBatch batch = random_batch(12, 25, random);
  Schedule schedule = make_schedule(batch, Policy::kDepth);
  Doubles e = random_doubles(kWords * kEmbedding, random);
  Doubles w = random_doubles(kHidden * kEmbedding, random);
  Doubles u = random_doubles(kHidden * kHidden, random);
  Doubles dh = random_doubles(batch.num_vertices() * kHidden, random);
  std::vector<int32_t> words;

  Problem() {
    for (int64_t v = 0; v < batch.num_vertices(); ++v) {
      words.push_back(static_cast<int32_t>(random() % kWords) - 1);
    }
  }
};

struct Programs {
  std::shared_ptr<const Executable> forward = load(forward_program());
  std::shared_ptr<const Executable> backward = load(backward_program(forward->program), forward);
};

struct Results {
  Doubles h, g, du, dw;
  bool operator==(const Results& other) const {
    return h == other.h && g == other.g && du == other.du && dw == other.dw;
  }
};

Results train(const Programs& programs, Problem& p, int threads) {
  const NativeCall call;
  Results r{Doubles(p.dh.size()), Doubles(p.batch.num_graphs() * kHidden),
            Doubles(kHidden * kHidden), Doubles(kHidden * kEmbedding)};
  Run run(programs.forward, p.schedule, std::vector<int64_t>(p.batch.num_graphs()), {}, true);
  run.forward({{external(p.e), external(p.w), external(p.u)},
               {external(p.words)},
               {external(r.h), external(r.g)}},
              threads);
  const auto distinct = static_cast<size_t>(run.rows({SpaceKind::kUnique, 0}));
  Doubles rows(distinct * kEmbedding);
  std::vector<int32_t> ids(distinct);
  ArrayLists lists;
  lists.params = {external(p.e), external(p.w), external(p.u)};
  lists.inputs = {external(p.dh)};
  lists.outputs = {external(r.du), external(r.dw), external(rows), external(ids)};
  run.backward(programs.backward, lists, threads);
  return r;
}

template <class Work>
void in_threads(int count, const Work& work) {
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) threads.emplace_back([&work, t] { work(t); });
  for (std::thread& thread : threads) thread.join();
}

void test_runs_of_one_program() {
  ExecutionOptions options = execution_options();
  options.min_parallel_rows = 1;
  options.min_parallel_ns = options.min_team_ns = options.min_split_ns = 0;
  options.chunk_rows = 16;
  set_execution_options(options);
  const Programs programs;
  Problem p;
  const Results expected = train(programs, p, 1);
  std::atomic<int> wrong{0};
  in_threads(3, [&](int t) {
    for (int i = 0; i < 15; ++i) {
      set_num_threads(1 + i % 4);
      if (!(train(programs, p, 1 + (t + i) % 4) == expected)) ++wrong;
      plan_sweeps(*programs.forward, programs.backward.get(), p.schedule, {10}, true, 2);
      cpu_backend()->arenas().pooled_bytes();
      if (i % 5 == 0) cpu_backend()->arenas().clear();
    }
  });
  CHECK(wrong == 0);
}

void test_first_tables_of_a_schedule() {
  for (int turn = 0; turn < 10; ++turn) {
    const Problem p;
    std::atomic<int64_t> sum{0};
    in_threads(4, [&](int t) {
      for (int k = 0; k < 4; ++k) {
        sum += static_cast<int64_t>(p.schedule.slot((k + t) % 4).size());
        sum += static_cast<int64_t>(p.schedule.parents((k + t) % 3).ptr.size());
      }
    });
    CHECK(sum == 16 * p.schedule.num_vertices + 16 * (p.schedule.num_vertices + 1));
  }
}

void test_panels_of_weights() {
  WeightStore store(2);
  std::atomic<int> wrong{0};
  in_threads(4, [&](int t) {
    for (int i = 0; i < 200; ++i) {
      const auto w = static_cast<size_t>(i % 2);
      const int64_t version = 4 * i + t;
      std::shared_ptr<Block> panels = store.take(w, 64);
      *reinterpret_cast<int64_t*>(panels->data()) = version;
      store.keep(w, version, std::move(panels));
      const std::shared_ptr<Block> found = store.find(w, version);
      if (found && *reinterpret_cast<int64_t*>(found->data()) != version) ++wrong;
    }
  });
  CHECK(wrong == 0);
}

void test_what_helpers_throw() {
  std::atomic<int> caught{0};
  in_threads(3, [&](int) {
    for (int i = 0; i < 40; ++i) {
      std::atomic<int> done{0};
      try {
        run_team(3, 1e9, [&](Team& team) {
          team.share(6, [&](int, int part) {
            ++done;
            if (part % 2 == 1) throw std::runtime_error("part");
          });
        });
      } catch (const std::runtime_error&) {
        if (done == 6) ++caught;
      }
    }
  });
  CHECK(caught == 120);
}

#if !defined(__SANITIZE_THREAD__)  // a child that makes threads is beyond it
void test_fork_beside_runs() {
  const Programs programs;
  Problem p;
  const Results expected = train(programs, p, 2);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) {
      train(programs, p, 3);
      if (p.schedule.slot(1).empty()) stop = true;
    }
  });
  for (int i = 0; i < 40; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      _exit(train(programs, p, 3) == expected ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  stop = true;
  busy.join();
}
#endif

}  // namespace

int main() {
  test_runs_of_one_program();
  test_first_tables_of_a_schedule();
  test_panels_of_weights();
  test_what_helpers_throw();
#if !defined(__SANITIZE_THREAD__)
  test_fork_beside_runs();
#endif
  return cavs_test::result();
}
