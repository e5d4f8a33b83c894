#include "runtime/run.h"

#include <algorithm>
#include <utility>

#include "base/denormals.h"
#include "base/error.h"
#include "base/stopwatch.h"

namespace cavs {
namespace {

constexpr int kMaxThreads = 1024;

void check_threads(int num_threads) {
  CAVS_CHECK(num_threads >= 1 && num_threads <= kMaxThreads, ErrorKind::kValue,
             "[runtime] expected 1..", kMaxThreads, " threads, got ", num_threads,
             "; pass a number in that range");
}

PhaseMemory memory_of(const Executable& exe, const Layout& layout, const PhasePlan& plan,
                      const RowCounts& counts, const Schedule& schedule) {
  PhaseMemory memory;
  memory.backward = exe.program.backward;
  memory.total = plan.total;
  memory.tables = unique_section_bytes((exe.forward ? *exe.forward : exe).program, counts) +
                  parent_lists_bytes(exe, counts, schedule);
  memory.threads = plan.total - plan.thread_offset;
  for (const WeightUse& use : exe.weights.uses) {
    if (!worth_packing(use, counts)) continue;
    memory.packed += packed_weight_bytes(exe.program.dtype, use.k, use.n);
  }
  for (size_t id = 0; id < plan.lifetimes.size(); ++id) {
    const RowPlace& place = layout.places[id];
    const auto holder = static_cast<size_t>(place.holder);
    const bool saved = exe.forward && id < exe.forward->program.values.size();
    // In the segment in which it takes over rows, these count for the value that had them.
    const int first = saved ? 0 : layout.first[id] + (holder != id && place.whole ? 1 : 0);
    if (layout.last[id] < layout.first[id] || layout.last[id] < first) continue;
    DynamicTensor part = exe.forms[id];
    part.rows = plan.rows[id];
    memory.values.push_back({static_cast<int>(id), plan.rows[id],
                             place.whole ? plan.lifetimes[holder].bytes : part.bytes(), first,
                             layout.last[id]});
  }
  return memory;
}

}  // namespace

Run::Run(std::shared_ptr<const Executable> exe, const Schedule& schedule,
         std::vector<int64_t> graph_keys, const RandomContext& random, bool keep)
    : exe_(std::move(exe)),
      schedule_(schedule),
      graph_keys_(std::move(graph_keys)),
      random_(random),
      keep_(keep),
      counts_(schedule) {
  CAVS_CHECK(!exe_->program.backward, ErrorKind::kValue,
             "[runtime] expected a forward program, got a backward program; give it to backward()");
  CAVS_CHECK(static_cast<int64_t>(graph_keys_.size()) == schedule.num_graphs, ErrorKind::kShape,
             "[runtime] expected one key for each of ", schedule.num_graphs, " graphs, got ",
             graph_keys_.size(), "; give a key for each");
  check_schedule(*exe_, schedule);
  random_.graph_key = graph_keys_.data();
  random_.vertex_graph = schedule.graph.data();
  random_.vertex_local = schedule.local.data();
  random_.edge_graph = schedule.edge_graph.data();
  random_.edge_local = schedule.edge_local.data();
}

Run::~Run() { finish(); }

void Run::finish() {
  if (arena_) cpu_arenas().give(std::move(arena_));
  state_ = State::kFinished;
}

int64_t Run::rows(const Space& space) const {
  CAVS_CHECK(space.kind != SpaceKind::kUnique || !counts_.uniques.empty(), ErrorKind::kRuntime,
             "[runtime] expected rows of a unique to be asked for after forward(), got a run that "
             "has not begun; call forward() first");
  return counts_.of(space);
}

const int32_t* Run::ids_of(const UniqueSpec& unique, int input, const ArrayLists& arrays) const {
  const int64_t base = counts_.of(unique.base);
  CAVS_CHECK(input < static_cast<int>(arrays.inputs.size()), ErrorKind::kShape,
             "[runtime] expected the ids of '", unique.name, "' as input ", input, ", got ",
             arrays.inputs.size(), " inputs; pass all inputs of the program");
  const ExternalArray& ids = arrays.inputs[static_cast<size_t>(input)];
  CAVS_CHECK(ids.dtype == DType::kInt32 && ids.elements == base, ErrorKind::kShape,
             "[runtime] expected ", base, " int32 ids for '", unique.name, "', got ", ids.elements,
             " of ", dtype_name(ids.dtype), "; pass one id for each row");
  return static_cast<const int32_t*>(ids.data);
}

std::optional<std::pair<int, int64_t>> Run::nan_state() const {
  if (!first_nan_.found()) return std::nullopt;
  const auto row = static_cast<size_t>(first_nan_.row());
  return std::pair<int, int64_t>(first_nan_.state(), schedule_.vertex_order[row]);
}

void Run::build_uniques(const ArrayLists& arrays) {
  const Program& program = exe_->program;
  std::vector<std::vector<const int32_t*>> ids;
  for (const UniqueSpec& unique : program.uniques) {
    ids.emplace_back();
    for (const int input : unique.inputs) ids.back().push_back(ids_of(unique, input, arrays));
  }
  arena_->reserve(unique_section_bytes(program, counts_));
  counts_.uniques.assign(program.uniques.size(), 0);
  place_uniques();
  for (size_t i = 0; i < program.uniques.size(); ++i) {
    const int of = program.uniques[i].of;
    if (of < 0) {
      count_ids(i, ids[i]);
    } else {
      find_in_tuples(i, ids[static_cast<size_t>(of)]);
    }
    counts_.uniques[i] = uniques_[i].rows;
  }
}

const int32_t* Run::order_of(const Space& rows) const {
  if (is_vertex_rows(rows.kind)) return schedule_.vertex_order.data();
  return rows.kind == SpaceKind::kEdge ? schedule_.edge_order.data() : nullptr;
}

void Run::count_ids(size_t number, const std::vector<const int32_t*>& ids) {
  const UniqueSpec& unique = exe_->program.uniques[number];
  UniqueTable& table = uniques_[number];
  const int32_t* order = order_of(unique.base);
  const int64_t first = counts_.first(unique.base), last = counts_.last(unique.base);
  if (unique.rows != 0) {
    number_by_id(unique.name, ids[0], order, first, last, unique.rows, &table);
  } else if (ids.size() == 1) {
    build_unique(unique.name, ids[0], order, first, last, &table);
  } else {
    build_unique_tuples(unique.name, ids, order, first, last, &table);
  }
}

void Run::find_in_tuples(size_t number, const std::vector<const int32_t*>& ids) {
  const UniqueSpec& unique = exe_->program.uniques[number];
  const auto parts = static_cast<size_t>(unique.of);
  const auto tuples = static_cast<size_t>(unique.base.unique);
  list_tuples(uniques_[tuples], uniques_[parts], ids.size() == 1 ? ids[0] : nullptr,
              order_of(exe_->program.uniques[parts].base), unique.rows == 0, &uniques_[number]);
}

void Run::place_uniques() {
  uniques_.clear();
  std::byte* memory = arena_->data();
  for (size_t i = 0; i < exe_->program.uniques.size(); ++i) {
    const int64_t base = unique_base_rows(exe_->program, counts_, i);
    uniques_.push_back(unique_table_at(memory, base, counts_.uniques[i]));
    memory += unique_table_bytes(base);
  }
}

void Run::list_parents(const Executable& exe, const PhasePlan& plan) {
  parents_.assign(exe.program.uniques.size(), {});
  std::byte* memory = arena_->data() + plan.lists_offset;
  for (const int u : exe.parent_lists) {
    const auto i = static_cast<size_t>(u);
    const int64_t edges = count_parents(exe.program.uniques[i].base, counts_, schedule_);
    parents_[i] = unique_parents_at(memory, counts_.uniques[i], edges);
    cavs::list_parents(uniques_[i], schedule_, &parents_[i]);
    memory += unique_parents_bytes(counts_.uniques[i], edges);
  }
}

void Run::forward(const ArrayLists& arrays, int num_threads) {
  CAVS_CHECK(state_ == State::kNew, ErrorKind::kRuntime,
             "[runtime] expected a new run, got one whose forward() was called; make another run");
  check_threads(num_threads);
  const DenormalScope scope(exe_->program.dtype);
  PhaseProfile profile;
  Stopwatch watch;
  arena_ = cpu_arenas().take(exe_->expected_bytes.load(std::memory_order_relaxed));
  try {
    build_uniques(arrays);
    profile.ids = watch.lap();
    check_arrays(*exe_, counts_, arrays);
    forward_plan_ = plan_forward(*exe_, keep_, counts_, schedule_, num_threads);
    forward_arrays_ = arrays;
    profile.plan = watch.lap();
    execute(*exe_, exe_->layout(keep_), forward_plan_, arrays, std::move(profile));
  } catch (...) {
    finish();
    throw;
  }
  state_ = State::kForwardDone;
  if (!keep_) finish();
}

void Run::backward(std::shared_ptr<const Executable> exe, const ArrayLists& arrays,
                   int num_threads) {
  CAVS_CHECK(keep_, ErrorKind::kRuntime,
             "[runtime] expected a run that keeps what backward needs, got keep=False; make the "
             "run with keep=True");
  CAVS_CHECK(state_ != State::kNew, ErrorKind::kRuntime,
             "[runtime] expected forward() before backward(), got a new run; call forward() first");
  CAVS_CHECK(state_ == State::kForwardDone, ErrorKind::kRuntime,
             "[runtime] expected one backward() per run, got a second one, or one after an error; "
             "run forward() again");
  CAVS_CHECK(exe && exe->forward == exe_, ErrorKind::kValue,
             "[runtime] expected the backward program of this run's program, got another; pass the "
             "program that belongs to it");
  check_threads(num_threads);
  check_schedule(*exe, schedule_);
  const DenormalScope scope(exe->program.dtype);
  PhaseProfile profile;
  Stopwatch watch;
  profile.backward = true;
  check_arrays(*exe, counts_, arrays);
  state_ = State::kFinished;
  try {
    const PhasePlan plan = plan_backward(*exe, forward_plan_, counts_, schedule_, num_threads);
    profile.plan = watch.lap();
    execute(*exe, exe->layout(true), plan, arrays, std::move(profile));
  } catch (...) {
    finish();
    throw;
  }
  finish();
}

void Run::execute(const Executable& exe, const Layout& layout, const PhasePlan& plan,
                  const ArrayLists& arrays, PhaseProfile profile) {
  Stopwatch watch;
  arena_->reserve(plan.total);
  place_uniques();
  list_parents(exe, plan);
  peak_bytes_ = std::max(peak_bytes_, plan.total);
  if (exe_->expected_bytes.load(std::memory_order_relaxed) < peak_bytes_) {
    exe_->expected_bytes.store(peak_bytes_, std::memory_order_relaxed);
  }
  Phase phase;
  phase.exe = &exe;
  phase.layout = &layout;
  phase.schedule = &schedule_;
  phase.counts = &counts_;
  phase.plan = &plan;
  if (check_states_ && !exe.program.backward) phase.first_nan = &first_nan_;
  bind_phase({arena_.get(), &uniques_, &parents_, &random_, &arrays, &forward_arrays_}, &phase);
  if (profile_) {
    phase.profile.resize(phase.threads.size());
    for (ThreadProfile& thread : phase.profile) thread.calls.resize(phase.instructions.size());
  }
  profile.bind = watch.lap();
  run_phase(phase);
  profile.walk = watch.lap();
  for (size_t w = 0; w < phase.weights.size(); ++w) {
    PackedWeight& packed = phase.weights[w];
    if (packed.fresh) exe.packed->keep(w, packed.version, std::move(packed.panels));
  }
  if (profile_) note_profile(phase, std::move(profile));
}

void Run::note_profile(const Phase& phase, PhaseProfile profile) {
  profile.threads.resize(phase.threads.size());
  for (size_t s = 0; s < phase.segments.size(); ++s) {
    const SegmentCode& range = phase.segments[s];
    for (int i = range.call_begin; i < range.call_end; ++i) {
      CallProfile sum;
      for (size_t t = 0; t < phase.threads.size(); ++t) {
        const CallProfile& part = phase.profile[t].calls[static_cast<size_t>(i)];
        sum.calls += part.calls;
        sum.rows += part.rows;
        sum.ns += part.ns;
        profile.threads[t].kernels += part.ns;
      }
      records_.push_back({profile.backward, static_cast<int>(s), i - range.call_begin,
                          phase.instructions[static_cast<size_t>(i)]->kernel, sum});
    }
  }
  for (size_t t = 0; t < phase.threads.size(); ++t) {
    const ThreadProfile& from = phase.profile[t];
    PhaseProfile::Thread& thread = profile.threads[t];
    thread.packing = from.packing_ns;
    // Thread 0 does alone what is not shared; the others wait then.
    thread.waiting = (t == 0 ? from.shares_ns : profile.walk) - from.parts_ns;
    thread.walking = profile.walk - thread.waiting - thread.kernels - thread.packing;
  }
  phases_.push_back(std::move(profile));
}

std::vector<PhaseMemory> plan_phases(const Executable& exe, const Executable* backward,
                                     const Schedule& schedule,
                                     const std::vector<int64_t>& unique_rows, bool keep,
                                     int num_threads) {
  check_threads(num_threads);
  RowCounts counts(schedule);
  CAVS_CHECK(unique_rows.size() == exe.program.uniques.size(), ErrorKind::kValue,
             "[runtime] expected the rows of ", exe.program.uniques.size(), " uniques, got ",
             unique_rows.size(), "; give rows for each");
  check_schedule(exe, schedule);
  counts.uniques = unique_rows;
  for (size_t u = 0; u < unique_rows.size(); ++u) {
    const int64_t most =
        std::max(unique_base_rows(exe.program, counts, u), exe.program.uniques[u].rows);
    CAVS_CHECK(unique_rows[u] >= 0 && unique_rows[u] <= most, ErrorKind::kValue,
               "[runtime] expected 0..", most, " rows of unique '", exe.program.uniques[u].name,
               "', got ", unique_rows[u], "; count the ids of the batch");
  }
  const PhasePlan plan = plan_forward(exe, keep, counts, schedule, num_threads);
  std::vector<PhaseMemory> phases = {memory_of(exe, exe.layout(keep), plan, counts, schedule)};
  if (backward == nullptr || !keep) return phases;
  CAVS_CHECK(backward->forward.get() == &exe, ErrorKind::kValue,
             "[runtime] expected the backward program of this program, got another; pass the "
             "program that belongs to it");
  check_schedule(*backward, schedule);
  const PhasePlan second = plan_backward(*backward, plan, counts, schedule, num_threads);
  phases.push_back(memory_of(*backward, backward->layout(true), second, counts, schedule));
  return phases;
}

}  // namespace cavs
