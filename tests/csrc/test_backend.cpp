// A second device, as unlike the CPU's room as a GPU is: memory that the host does not reach, one
// call an instruction over all its rows, no memory of its own for values. It must give the bits of
// the CPU's backend.
#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "cpu/groups/group_program.h"
#include "runtime/dry_run.h"
#include "runtime/memory_plan.h"
#include "runtime/places.h"
#include "runtime/step_arithmetic.h"
#include "runtime/tables.h"
#include "tree_program.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

using namespace cavs;
using namespace cavs_test;

namespace {

// Memory that may be read and written while the device runs alone.
class FarAllocator final : public Allocator {
 public:
  Device device() const override { return {DeviceKind::kCuda, 0}; }
  bool on_host() const override { return false; }

#if defined(__linux__)
  void* allocate(int64_t bytes) override {
    void* data = mmap(nullptr, pages(bytes), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) throw OutOfMemory(static_cast<uint64_t>(bytes));
    blocks_.push_back({data, pages(bytes)});
    return data;
  }
  void deallocate(void* data, int64_t bytes) override {
    munmap(data, pages(bytes));
    blocks_.erase(std::find(blocks_.begin(), blocks_.end(), std::pair{data, pages(bytes)}));
  }
  void let(int access) {
    for (const auto& [data, bytes] : blocks_) mprotect(data, bytes, access);
  }
  void open() { let(PROT_READ | PROT_WRITE); }
  void close() { let(PROT_NONE); }
#else
  void* allocate(int64_t bytes) override { return host_allocator().allocate(bytes); }
  void deallocate(void* data, int64_t bytes) override { host_allocator().deallocate(data, bytes); }
  void open() {}
  void close() {}
#endif
  void* grow(void*, int64_t, int64_t) override { return nullptr; }
  void copy(void* to, const void* from, int64_t bytes) override {
    open();
    std::memcpy(to, from, static_cast<size_t>(bytes));
    close();
  }

 private:
  static size_t pages(int64_t bytes) { return static_cast<size_t>(align_up(bytes, 4096)); }
  std::vector<std::pair<void*, size_t>> blocks_;
};

struct FarPrepared final : Prepared {
  struct Call {
    const Instruction* instruction;
    KernelFunction function;
    std::shared_ptr<const GroupProgram> group;
  };
  std::vector<std::vector<Call>> segments;
};

class FarBackend final : public Backend {
 public:
  explicit FarBackend(FarAllocator& allocator) : Backend(allocator), allocator_(allocator) {}

  bool supports(const Program&, const Instruction& instruction) const override {
    return instruction.kernel != kernel_named(refused);
  }
  Steps steps() const override { return Steps::kInstructions; }
  bool keeps_confined_values() const override { return false; }
  Overwrites overwrites(const Program&, const Instruction& instruction) const override {
    return group_of(instruction) != nullptr ? Overwrites::kRows : Overwrites::kNothing;
  }

  std::shared_ptr<const Prepared> prepare(const Executable& exe) const override {
    auto prepared = std::make_shared<FarPrepared>();
    for (const Segment& segment : exe.program.segments) {
      prepared->segments.emplace_back();
      for (const Instruction& instruction : segment.instructions) {
        FarPrepared::Call call{&instruction, function_of(exe.program.dtype, instruction), nullptr};
        if (const Group* group = group_of(instruction)) call.group = prepare_group(*group, false);
        prepared->segments.back().push_back(std::move(call));
      }
    }
    return prepared;
  }

  std::unique_ptr<const Workspace> workspace(const Executable&, bool, const RowCounts&,
                                             const Schedule&, const Staged&, int) const override {
    auto workspace = std::make_unique<Workspace>();
    workspace->bytes = kScratchBytes;
    workspace->alignment = 256;
    return workspace;
  }
  int64_t bytes_kept(const Executable&, bool, const RowCounts&, const Schedule&,
                     const Workspace&) const override {
    return 0;
  }

  void run(const Sweep& sweep) override {
    allocator_.open();
    bring_tables(sweep);
    const auto& prepared = static_cast<const FarPrepared&>(*sweep.exe.prepared);
    for (size_t s = 0; s < prepared.segments.size(); ++s) {
      const Segment& segment = sweep.exe.program.segments[s];
      if (segment.kind != SegmentKind::kLevels) {
        for (const auto& call : prepared.segments[s]) {
          const Space& space = call.instruction->space;
          launch(sweep, call, sweep.counts.first(space), sweep.counts.last(space));
        }
        continue;
      }
      const Schedule& schedule = sweep.schedule;
      const int64_t levels = schedule.num_batches();
      for (int64_t i = 0; i < levels; ++i) {
        const int64_t level = sweep.exe.program.backward ? levels - 1 - i : i;
        for (const auto& call : prepared.segments[s]) {
          const bool edges = call.instruction->space.kind == SpaceKind::kEdge;
          const auto& ptr = edges ? schedule.level_edge_ptr : schedule.level_ptr;
          launch(sweep, call, ptr[static_cast<size_t>(level)], ptr[static_cast<size_t>(level) + 1]);
        }
      }
    }
    allocator_.close();
  }
  void synchronize() override {}

  const StepArithmetic<float>& step_arithmetic(float) const override {
    return cpu_backend()->step_arithmetic(0.0F);
  }
  const StepArithmetic<double>& step_arithmetic(double) const override {
    return cpu_backend()->step_arithmetic(0.0);
  }

  std::string refused = "dropout";
  int64_t launches = 0;

 private:
  static KernelFunction function_of(DType dtype, const Instruction& instruction) {
    if (instruction.kernel == kernel_named("matmul")) return plain_matmul;
    if (instruction.kernel == kernel_named("matmul_reduce")) return plain_matmul_reduce;
    return find_kernel(dtype, instruction.kernel->name);
  }

  // Copies what the host has made to where the plan has room for it.
  void bring_tables(const Sweep& sweep) {
    uniques_ = sweep.uniques;
    std::byte* to = sweep.memory;
    const Program& first = (sweep.exe.forward ? *sweep.exe.forward : sweep.exe).program;
    for (size_t u = 0; u < uniques_.size(); ++u) {
      const int64_t base = unique_base_rows(first, sweep.counts, u);
      const UniqueTable& host = sweep.uniques[u];
      std::memcpy(to, host.index, static_cast<size_t>(unique_table_bytes(base)));
      uniques_[u] = unique_table_at(to, base, host.rows);
      to += unique_table_bytes(base);
    }
    list_parents_of(sweep);
  }

  // The runtime makes no lists of parents for a device whose memory the host does not reach.
  void list_parents_of(const Sweep& sweep) {
    parents_.clear();
    parent_memory_.clear();
    for (const ParentList& list : sweep.exe.parent_lists) {
      const auto u = static_cast<size_t>(list.unique);
      const int64_t rows = uniques_[u].rows;
      const Space& base = sweep.exe.program.uniques[u].base;
      const int64_t edges = count_parents(base, sweep.counts, sweep.schedule, list.edges);
      parent_memory_.emplace_back(static_cast<size_t>(unique_parents_bytes(rows, edges)));
      parents_[list] = unique_parents_at(parent_memory_.back().data(), rows, edges);
      cavs::list_parents(uniques_[u], sweep.schedule, 0, &parents_[list]);
    }
  }

  void launch(const Sweep& sweep, const FarPrepared::Call& prepared, int64_t begin, int64_t end) {
    const Instruction& instruction = *prepared.instruction;
    std::vector<Operand> operands;
    for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
      for (const int id : *list) {
        const ValueRows rows = rows_of(sweep, id);
        operands.push_back({rows.data, rows.ld, rows.size, rows.padded});
      }
    }
    const Program& program = sweep.exe.program;
    const HostLists lists(program, sweep.schedule);
    std::vector<IndexTable> tables;
    for (const TableSpec& table : instruction.tables) {
      tables.push_back(
          resolve_table(table, instruction.space, {program, lists, uniques_, parents_}));
    }
    KernelCall call;
    call.num_in = static_cast<int>(instruction.inputs.size());
    call.num_out = static_cast<int>(instruction.outputs.size());
    call.in = operands.data();
    call.out = call.in + call.num_in;
    call.attributes =
        std::visit([](const auto& a) -> const void* { return &a; }, instruction.attributes);
    if (prepared.group) call.attributes = prepared.group.get();
    call.tables = tables.data();
    call.random = &sweep.random;
    call.row_begin = begin;
    call.row_end = end;
    call.scratch = sweep.memory + sweep.plan.workspace_offset;
    prepared.function(call);
    ++launches;
  }

  FarAllocator& allocator_;
  std::vector<UniqueTable> uniques_;
  ParentTables parents_;
  std::vector<std::vector<std::byte>> parent_memory_;  // of the lists
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
};

// All that a run gives, one after the other, and the peak of its memory.
std::pair<Doubles, int64_t> computed(const ExecutablePtr& forward, const ExecutablePtr& backward,
                                     Problem& p) {
  Run run(forward, p.schedule, std::vector<int64_t>(static_cast<size_t>(p.batch.num_graphs())),
          RandomContext{}, backward != nullptr);
  Doubles h(p.dh.size()), g(static_cast<size_t>(p.batch.num_graphs() * kHidden));
  run.forward({{external(p.e), external(p.w), external(p.u)},
               {external(p.words)},
               {external(h), external(g)}},
              1);
  Doubles all = h;
  all.insert(all.end(), g.begin(), g.end());
  if (backward != nullptr) {
    const int64_t rows = run.rows(kOfWords);
    Doubles du(kHidden * kHidden), dw(kHidden * kEmbedding),
        de(static_cast<size_t>(rows * kEmbedding));
    std::vector<int32_t> ids(static_cast<size_t>(rows));
    run.backward(backward,
                 {{external(p.e), external(p.w), external(p.u)},
                  {external(p.dh)},
                  {external(du), external(dw), external(de), external(ids)}},
                 1);
    for (const Doubles* part : {&du, &dw, &de}) all.insert(all.end(), part->begin(), part->end());
    all.insert(all.end(), ids.begin(), ids.end());
  }
  return {all, run.peak_bytes()};
}

void test_same_bits_as_the_cpu() {
  FarAllocator allocator;
  {
    FarBackend far(allocator);
    const ExecutablePtr near_forward = load(forward_program());
    const ExecutablePtr near_backward = load(backward_program(near_forward->program), near_forward);
    const ExecutablePtr forward = make_executable(forward_program(), nullptr, far);
    const ExecutablePtr backward =
        make_executable(backward_program(forward->program), forward, far);
    for (const unsigned seed : {1U, 2U, 5U, 20U}) {
      Problem p(seed);
      for (const bool learns : {false, true}) {
        const auto want = computed(near_forward, learns ? near_backward : nullptr, p);
        const auto got = computed(forward, learns ? backward : nullptr, p);
        CHECK(want.first.size() == got.first.size());
        CHECK(std::memcmp(want.first.data(), got.first.data(),
                          want.first.size() * sizeof(double)) == 0);
        // The dry run knows the device's memory as well.
        int64_t planned = 0;
        const int64_t words =
            static_cast<int64_t>(std::set<int32_t>(p.words.begin(), p.words.end()).size());
        for (const SweepMemory& sweep : plan_sweeps(*forward, learns ? backward.get() : nullptr,
                                                    p.schedule, {words}, learns, 1)) {
          planned = std::max(planned, sweep.total);
          for (const ValueMemory& value : sweep.values) {
            const auto& segments = (sweep.backward ? backward : forward)->program.segments;
            CHECK(value.first >= 0 && value.first <= value.last);
            CHECK(value.last <= static_cast<int>(segments.size()));
          }
        }
        CHECK(planned == got.second);
      }
    }
    CHECK(far.launches > 0);
    CHECK(far.arenas().pooled_bytes() > 0);  // its own pool
  }
}

// Values that one segment confines have memory, and live by instruction where rows are done at
// once: those of one segment share rows that are read for the last time.
void test_lifetimes_by_instruction() {
  FarAllocator allocator;
  FarBackend far(allocator);
  const ExecutablePtr exe = make_executable(forward_program(), nullptr, far);
  const Layout& layout = exe->dropped;
  CHECK(exe->steps.count() == 3 + 1 + 1 + 1);
  for (const int id : {kIds, kX, kGathered, kProduct, kAll}) {
    CHECK(layout.confined[id] >= 0 && layout.last[id] >= layout.first[id]);
  }
  CHECK(layout.first[kIds] == 0 && layout.last[kIds] == 1);
  CHECK(layout.first[kX] == 1 && layout.last[kX] == 2);
  CHECK(layout.first[kGathered] == 3 && layout.last[kProduct] == 3);
  CHECK(exe->kept.last[kX] == exe->steps.count());  // for backward
  CHECK(exe->steps.segment_of(2) == 0 && exe->steps.segment_of(3) == 1);
  CHECK(exe->steps.segment_of(exe->steps.count()) == 4);
}

void test_what_a_backend_refuses() {
  FarAllocator allocator;
  FarBackend far(allocator);
  far.refused = "segment_sum";
  CHECK_THROWS(make_executable(forward_program(), nullptr, far), Error, "got 'segment_sum'");
  far.refused = "dropout";
  const ExecutablePtr near = load(forward_program());
  CHECK_THROWS(make_executable(backward_program(near->program), near, far), Error,
               "for the device of the forward one");
  CHECK(&backend_of({}) == cpu_backend());
  CHECK(device_named("cpu") == Device{});
  CHECK((device_named("cuda") == Device{DeviceKind::kCuda, 0}));
  CHECK((device_named("cuda:12") == Device{DeviceKind::kCuda, 12}));
  for (const char* name : {"tpu", "cuda:", "cuda:-1", "cuda:x", "cuda:99999", "CUDA", ""}) {
    CHECK_THROWS(device_named(name), Error, "expected device 'cpu', 'cuda' or 'cuda:1', got '");
  }
  CHECK(backends().size() == 1);
}

}  // namespace

int main() {
  test_same_bits_as_the_cpu();
  test_lifetimes_by_instruction();
  test_what_a_backend_refuses();
  return cavs_test::result();
}
