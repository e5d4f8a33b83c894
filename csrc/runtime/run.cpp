// Runs a program over a batch: forward, then perhaps backward, once or several times.
#include "runtime/run.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/stopwatch.h"
#include "program/kernels.h"

namespace cavs {
namespace {

constexpr int kMaxThreads = 1024;

}  // namespace

void check_threads(int num_threads) {
  CAVS_CHECK(num_threads >= 1 && num_threads <= kMaxThreads, ErrorKind::kValue,
             "[runtime] expected 1..", kMaxThreads, " threads, got ", num_threads,
             "; pass a number in that range");
}

Run::Run(std::shared_ptr<const Executable> exe, const Schedule& schedule,
         std::vector<int64_t> graph_keys, const RandomContext& random, bool keep)
    : exe_(std::move(exe)),
      schedule_(schedule),
      graph_keys_(std::move(graph_keys)),
      random_(random),
      keep_(keep),
      counts_(exe_->program, schedule) {
  CAVS_CHECK(!exe_->program.backward, ErrorKind::kValue,
             "[runtime] expected a forward program, got a backward program; give it to backward()");
  CAVS_CHECK(static_cast<int64_t>(graph_keys_.size()) == schedule.num_graphs, ErrorKind::kShape,
             "[runtime] expected one key for each of ", schedule.num_graphs, " graphs, got ",
             graph_keys_.size(), "; give a key for each");
  check_schedule(*exe_, schedule);
  random_.graph_key = graph_keys_.data();
  random_.edges.resize(schedule.edges.size());
}

Run::~Run() { finish(); }

void Run::finish() {
  if (arena_) exe_->backend->arenas().give(std::move(arena_));
  state_ = State::kFinished;
}

int64_t Run::rows(const Program& program, const Space& space) const {
  CAVS_CHECK(space.kind != SpaceKind::kUnique || !counts_.uniques.empty(), ErrorKind::kRuntime,
             "[runtime] expected rows of a unique to be asked for after forward(), got a run that "
             "has not begun; call forward() first");
  return counts_.of(program, space);
}

GivenIds Run::ids_of(const UniqueSpec& unique, size_t number, const ArrayLists& arrays) const {
  const int input = unique.inputs[number];
  const int64_t base = counts_.of({unique.base.kind, -1, unique.members[number]});
  CAVS_CHECK(input < static_cast<int>(arrays.inputs.size()), ErrorKind::kShape,
             "[runtime] expected the ids of '", unique.name, "' as input ", input, ", got ",
             arrays.inputs.size(), " inputs; pass all inputs of the program");
  const ExternalArray& ids = arrays.inputs[static_cast<size_t>(input)];
  CAVS_CHECK(ids.dtype == DType::kInt32 && ids.elements == base, ErrorKind::kShape,
             "[runtime] expected ", base, " int32 ids for '", unique.name, "', got ", ids.elements,
             " of ", dtype_name(ids.dtype), "; pass one id for each row");
  return {static_cast<const int32_t*>(ids.data), ids.elements,
          order_of(unique.base, unique.members[number])};
}

const int32_t* Run::distinct_ids(const Executable& backward, int output) const {
  for (const Segment& segment : backward.program.segments) {
    for (const Instruction& instruction : segment.instructions) {
      if (instruction.tables.empty() || instruction.tables[0].kind != TableKind::kUniqueIds ||
          instruction.outputs.size() != 1) {
        continue;
      }
      const ValueSpec& value = backward.program.values[static_cast<size_t>(instruction.outputs[0])];
      if (value.role != Role::kOutput || value.index != output) continue;
      return uniques_[static_cast<size_t>(instruction.tables[0].argument)].ids;
    }
  }
  fail(ErrorKind::kValue, "[step] expected distinct ids as output ", output,
       " of the backward program, got other values; correct the plan");
}

std::optional<std::pair<int, int64_t>> Run::nan_state() const {
  if (!first_nan_.found()) return std::nullopt;
  const auto row = static_cast<size_t>(first_nan_.row());
  return std::pair<int, int64_t>(first_nan_.state(), schedule_.vertex_order[row]);
}

void Run::build_uniques(const ArrayLists& arrays) {
  const Program& program = exe_->program;
  std::vector<std::vector<GivenIds>> ids;
  for (const UniqueSpec& unique : program.uniques) {
    ids.emplace_back();
    for (size_t i = 0; i < unique.inputs.size(); ++i) {
      ids.back().push_back(ids_of(unique, i, arrays));
    }
  }
  if (exe_->backend->allocator().on_host()) {
    arena_->reserve(unique_section_bytes(program, counts_));
  }
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

// Of an array with rows for these members.
const int32_t* Run::order_of(const Space& rows, int members) const {
  if (rows.kind == SpaceKind::kGraph) return nullptr;
  const bool edges = rows.kind == SpaceKind::kEdge;
  if (members < 0) {
    return (edges ? schedule_.order_of_edges() : schedule_.vertex_order).data();
  }
  const Members& of = exe_->program.member_sets[static_cast<size_t>(members)];
  return edges ? schedule_.places_of_edges(of, edge_list_of(exe_->program, rows.members)).data()
               : schedule_.places_of_vertices(of).data();
}

void Run::count_ids(size_t number, const std::vector<GivenIds>& ids) {
  const UniqueSpec& unique = exe_->program.uniques[number];
  UniqueTable& table = uniques_[number];
  const int64_t first = counts_.first(unique.base), last = counts_.last(unique.base);
  if (unique.rows != 0) {
    number_by_id(unique.name, ids[0], first, last, unique.rows, &table);
  } else if (ids.size() == 1) {
    build_unique(unique.name, ids[0], first, last, &table);
  } else {
    build_unique_tuples(unique.name, ids, first, last, &table);
  }
}

void Run::find_in_tuples(size_t number, const std::vector<GivenIds>& ids) {
  const UniqueSpec& unique = exe_->program.uniques[number];
  const auto parts = static_cast<size_t>(unique.of);
  const auto tuples = static_cast<size_t>(unique.base.unique);
  list_tuples(uniques_[tuples], uniques_[parts], ids.size() == 1 ? &ids[0] : nullptr,
              unique.rows == 0, &uniques_[number]);
}

std::byte* Run::unique_memory() {
  if (exe_->backend->allocator().on_host()) return arena_->data();
  if (!own_uniques_) {
    const int64_t bytes = unique_section_bytes(exe_->program, counts_);
    own_uniques_ = std::make_unique<Block>(host_allocator(), std::max<int64_t>(1, bytes));
  }
  return own_uniques_->data();
}

void Run::place_uniques() {
  uniques_.clear();
  std::byte* memory = unique_memory();
  for (size_t i = 0; i < exe_->program.uniques.size(); ++i) {
    const int64_t base = unique_base_rows(exe_->program, counts_, i);
    uniques_.push_back(unique_table_at(memory, base, counts_.uniques[i]));
    memory += unique_table_bytes(base);
  }
}

void Run::list_parents(const Executable& exe, const SweepPlan& plan) {
  parents_.clear();
  if (!exe.backend->allocator().on_host()) return;
  std::byte* memory = arena_->data() + plan.lists_offset;
  for (const ParentList& it : exe.parent_lists) {
    const auto i = static_cast<size_t>(it.unique);
    const Space& base = exe.program.uniques[i].base;
    const int64_t edges = count_parents(base, counts_, schedule_, it.edges);
    UniqueParents& lists = parents_[it];
    lists = unique_parents_at(memory, counts_.uniques[i], edges);
    cavs::list_parents(uniques_[i], schedule_, it.edges, &lists);
    memory += unique_parents_bytes(counts_.uniques[i], edges);
  }
}

void Run::forward(const ArrayLists& arrays, int num_threads) {
  CAVS_CHECK(state_ == State::kNew, ErrorKind::kRuntime,
             "[runtime] expected a new run, got one whose forward() was called; make another run");
  check_threads(num_threads);
  SweepProfile profile;
  Stopwatch watch;
  arena_ = exe_->backend->arenas().take(exe_->expected_bytes.load(std::memory_order_relaxed));
  try {
    build_uniques(arrays);
    profile.ids = watch.lap();
    check_arrays(*exe_, counts_, arrays);
    forward_plan_ = plan_forward(*exe_, keep_, counts_, schedule_, num_threads);
    forward_arrays_ = arrays;
    profile.plan = watch.lap();
    execute(*exe_, keep_, exe_->layout(keep_), forward_plan_, counts_, arrays, std::move(profile));
  } catch (...) {
    finish();
    throw;
  }
  state_ = State::kForwardDone;
  if (!keep_) finish();
}

void Run::backward(std::shared_ptr<const Executable> exe, const ArrayLists& arrays, int num_threads,
                   bool retain) {
  CAVS_CHECK(keep_, ErrorKind::kRuntime,
             "[runtime] expected a run that keeps what backward needs, got keep=False; make the "
             "run with keep=True");
  CAVS_CHECK(state_ != State::kNew, ErrorKind::kRuntime,
             "[runtime] expected forward() before backward(), got a new run; call forward() first");
  CAVS_CHECK(state_ == State::kForwardDone, ErrorKind::kRuntime,
             "[runtime] expected one backward() per run, got a second one, or one after an error; "
             "run forward() again, or call all but the last with retain=True");
  CAVS_CHECK(exe && exe->forward == exe_, ErrorKind::kValue,
             "[runtime] expected the backward program of this run's program, got another; pass the "
             "program that belongs to it");
  check_threads(num_threads);
  check_schedule(*exe, schedule_);
  SweepProfile profile;
  Stopwatch watch;
  profile.backward = true;
  const RowCounts counts = counts_.of_program(exe->program);
  check_arrays(*exe, counts, arrays);
  try {
    const SweepPlan plan =
        plan_backward(*exe, retain, forward_plan_, counts, schedule_, num_threads);
    profile.plan = watch.lap();
    execute(*exe, true, exe->backward_layout(retain), plan, counts, arrays, std::move(profile));
  } catch (...) {
    if (!retain) finish();
    throw;
  }
  if (!retain) finish();
}

void Run::execute(const Executable& exe, bool keep, const Layout& layout, const SweepPlan& plan,
                  const RowCounts& counts, const ArrayLists& arrays, SweepProfile profile) {
  Stopwatch watch;
  arena_->reserve(plan.total);
  place_uniques();
  list_parents(exe, plan);
  peak_bytes_ = std::max(peak_bytes_, plan.total);
  if (exe_->expected_bytes.load(std::memory_order_relaxed) < peak_bytes_) {
    exe_->expected_bytes.store(peak_bytes_, std::memory_order_relaxed);
  }
  for (const SampledLists& of : exe.sampled) {
    if (of.rows == SampledRows::kVertex) {
      random_.vertex_graph = schedule_.graph_of_vertices().data();
      random_.vertex_local = schedule_.local_of_vertices().data();
    } else {
      random_.edges[static_cast<size_t>(of.edges)] = {schedule_.graph_of_edges(of.edges).data(),
                                                      schedule_.local_of_edges(of.edges).data()};
    }
  }
  profile.bind = watch.lap();
  const bool checks = check_states_ && !exe.program.backward;
  exe.backend->run({exe, keep, layout, plan, forward_plan_, schedule_, counts, arena_->data(),
                    uniques_, parents_, random_, arrays, forward_arrays_,
                    checks ? &first_nan_ : nullptr, profile_ ? &profile : nullptr});
  if (profile_) note_profile(exe.program, std::move(profile));
}

void Run::note_profile(const Program& program, SweepProfile profile) {
  size_t call = 0;
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const auto& instructions = program.segments[s].instructions;
    for (size_t i = 0; i < instructions.size(); ++i, ++call) {
      records_.push_back({profile.backward, static_cast<int>(s), static_cast<int>(i),
                          instructions[i].kernel->name, row_cost(program, instructions[i]),
                          profile.calls[call]});
    }
  }
  sweeps_.push_back(std::move(profile));
}

}  // namespace cavs
