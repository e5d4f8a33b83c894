// Launches the instructions of a sweep: on one stream one after the other, on several those that do
// not need each other.
#include "cuda/walk.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/matmul_precision.h"
#include "base/stopwatch.h"
#include "cuda/counters.h"
#include "cuda/graphs.h"
#include "cuda/levels.h"
#include "cuda/library.h"
#include "cuda/row_launches.h"
#include "cuda/streams.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/places.h"

namespace cavs::cuda {
namespace {

struct BoundCall {
  int number = 0;  // among all calls
  const PreparedCall* prepared = nullptr;
  const LayoutCode::Compiled* group = nullptr;
  DeviceCall call;
};

Random random_of(const RandomContext& context, Address state, const DeviceLists& lists) {
  Random random;
  random.state = reinterpret_cast<const RandomState*>(state);
  random.training = context.training ? 1 : 0;
  random.graph_key = reinterpret_cast<const long long*>(lists.find(List::kGraphKeys));
  random.vertex_graph = lists.find(List::kGraph);
  random.vertex_local = lists.find(List::kLocal);
  random.edge_graph = lists.find(List::kEdgeGraph);
  random.edge_local = lists.find(List::kEdgeLocal);
  return random;
}

// Times of launches by events; read when all are done.
class Clock {
 public:
  Clock(const Sweep& sweep, const Stream& stream) : profile_(sweep.profile), stream_(stream) {
    if (profile_ == nullptr) return;
    begin_ = std::make_unique<Event>(true);
    stream_.record(*begin_);
  }

  template <class Launch>
  void time(int call, int64_t level, int64_t rows, const Launch& launch) {
    if (profile_ == nullptr) return launch();
    Timed timed{std::make_unique<Event>(true), std::make_unique<Event>(true), call, level, rows};
    stream_.record(*timed.start);
    launch();
    stream_.record(*timed.end);
    timed_.push_back(std::move(timed));
  }

  void finish(size_t calls) {
    if (profile_ == nullptr) return;
    stream_.synchronize();
    profile_->walk = watch_.lap();
    profile_->calls.resize(calls);
    profile_->threads.resize(1);
    SweepProfile::Thread& thread = profile_->threads[0];
    for (const Timed& timed : timed_) {
      ProfileEvent event;
      event.call = timed.call;
      event.level = timed.level;
      event.start = nanoseconds(timed.start->milliseconds_since(*begin_));
      event.ns = nanoseconds(timed.end->milliseconds_since(*timed.start));
      event.rows = timed.rows;
      CallProfile& sum = profile_->calls[static_cast<size_t>(timed.call)];
      ++sum.calls;
      sum.rows += timed.rows;
      sum.ns += event.ns;
      thread.kernels += event.ns;
      if (profile_->events.size() < SweepProfile::kMostEvents) {
        profile_->events.push_back(event);
      } else {
        ++profile_->events_left_out;
      }
    }
    thread.walking = std::max<int64_t>(0, profile_->walk - thread.kernels);
  }

 private:
  struct Timed {
    std::unique_ptr<Event> start, end;
    int call;
    int64_t level, rows;
  };
  static int64_t nanoseconds(float milliseconds) {
    return static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6);
  }

  SweepProfile* const profile_;
  const Stream& stream_;
  std::unique_ptr<Event> begin_;
  Stopwatch watch_;
  std::vector<Timed> timed_;
};

// The streams of a sweep: the caller's, and those beside it, which join it in the end.
class Lanes {
 public:
  Lanes(OpenGpu& open, const Stream& first, const std::vector<SegmentPlace>& places)
      : open_(open), first_(first), places_(places), done_(places.size()) {
    const bool beside = std::any_of(places.begin(), places.end(),
                                    [](const SegmentPlace& place) { return place.stream != 0; });
    if (!beside) return;
    begun_ = std::make_unique<Event>();
    first_.record(*begun_);
  }

  // The stream on which a segment's work may be put from now on.
  const Stream& enter(size_t s) {
    const SegmentPlace& place = places_[s];
    const Stream& stream = of(place.stream);
    if (place.stream != 0 && !used_[place.stream]) stream.wait(*begun_);
    used_[place.stream] = true;
    for (const int other : place.after) stream.wait(*done_[static_cast<size_t>(other)]);
    return stream;
  }
  void leave(size_t s) {
    if (!places_[s].awaited) return;
    done_[s] = std::make_unique<Event>();
    of(places_[s].stream).record(*done_[s]);
  }
  void join() {
    for (int i = 1; i < kStreams; ++i) {
      if (!used_[i]) continue;
      const Event event;
      of(i).record(event);
      first_.wait(event);
    }
  }

 private:
  const Stream& of(int stream) const { return stream == 0 ? first_ : open_.beside[stream - 1]; }

  OpenGpu& open_;
  const Stream& first_;
  const std::vector<SegmentPlace>& places_;
  std::unique_ptr<Event> begun_;
  std::vector<std::unique_ptr<Event>> done_;  // [segment] where it is awaited
  bool used_[kStreams] = {};
};

class Walker {
 public:
  Walker(const Sweep& sweep, const Stream& stream, bool flush_denormals, const DeviceLists& lists,
         const TableSources& tables)
      : sweep_(sweep),
        program_(sweep.exe.program),
        prepared_(cuda_program(sweep.exe)),
        workspace_(static_cast<const CudaWorkspace&>(*sweep.plan.workspace)),
        code_(prepared_.code(sweep.layout, flush_denormals)),
        first_(stream),
        flush_(flush_denormals),
        lists_(lists),
        library_(library_of(prepared_.open(), program_.dtype, flush_denormals)),
        random_(random_of(sweep.random, random_place(), lists)),
        clock_(sweep, stream) {
    bind(tables);
  }

  void walk() {
    const bool watched = sweep_.profile != nullptr || sweep_.first_nan != nullptr;
    const bool captures = uses_graphs() && !watched;
    if (prepared_.random) {
      note_random_state(library_, first_, random_place(), {sweep_.random.seed, sweep_.random.step});
    }
    const SweepKey key = captures ? key_of_launches() : SweepKey();
    const GraphCache::Found found = captures ? prepared_.graphs.find(key) : GraphCache::Found();
    if (found.advice == GraphCache::Advice::kReplay) {
      first_.launch(*found.graph);
    } else if (found.advice == GraphCache::Advice::kCapture) {
      const std::shared_ptr<const Graph> graph = capture();
      prepared_.graphs.keep(key, graph);
      graph ? first_.launch(*graph) : walk_on(first_, place_segments(sweep_, !program_.streams));
    } else {
      walk_on(first_, place_segments(sweep_, watched || !program_.streams));
      if (captures) prepared_.graphs.note_launched(key);
    }
    clock_.finish(code_.groups.size());
  }

 private:
  // All that the arguments and the number of launches follow from, besides the program.
  SweepKey key_of_launches() const {
    SweepKey key = {reinterpret_cast<uint64_t>(&sweep_.layout),
                    flush_ ? 1U : 0U,
                    uses_tf32() ? 1U : 0U,
                    reinterpret_cast<uint64_t>(sweep_.memory),
                    static_cast<uint64_t>(sweep_.counts.vertices),
                    static_cast<uint64_t>(sweep_.counts.leaves),
                    static_cast<uint64_t>(sweep_.counts.edges),
                    static_cast<uint64_t>(sweep_.counts.graphs)};
    for (const int64_t rows : sweep_.counts.uniques) key.push_back(static_cast<uint64_t>(rows));
    for (const Operand& operand : operands_)
      key.push_back(reinterpret_cast<uint64_t>(operand.data));
    for (const Table& table : tables_) {
      for (const int* list : {table.index, table.ptr, table.list, table.part}) {
        key.push_back(reinterpret_cast<uint64_t>(list));
      }
    }
    for (const auto* ptr : {&sweep_.schedule.level_ptr, &sweep_.schedule.level_edge_ptr}) {
      for (const int32_t row : *ptr) key.push_back(static_cast<uint64_t>(row));
    }
    key.push_back(scratch_of(0));
    if (prepared_.random) {
      key.push_back(static_cast<uint64_t>(random_.training));
      key.push_back(reinterpret_cast<uint64_t>(random_.graph_key));
      for (const int* list :
           {random_.vertex_graph, random_.vertex_local, random_.edge_graph, random_.edge_local}) {
        key.push_back(reinterpret_cast<uint64_t>(list));
      }
    }
    key.push_back(persistent_levels() ? reinterpret_cast<uint64_t>(lists_.find(List::kLevelPtr))
                                      : 0);
    return key;
  }

  // The sweep was launched before, so that its kernels are loaded. Null where something ended the
  // capture, as another library's wait for the device does: launches then say what else is wrong.
  std::shared_ptr<const Graph> capture() {
    OpenGpu& open = prepared_.open();
    const std::lock_guard<std::mutex> guard(open.capture_mutex);
    if (library_.uses_blas()) library_.blas(open.capturing);  // allocates, which a capture may not
    capturing_ = true;
    std::shared_ptr<const Graph> graph;
    try {
      graph =
          open.capturing.capture([&] { walk_on(open.capturing, place_segments(sweep_, true)); });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kDevice) throw;
      count(counters().lost_captures);
    }
    capturing_ = false;
    return graph;
  }

  // Not within a capture, in which a signal handler could do what ends it.
  void poll() {
    if (!capturing_) interrupt_.poll();
  }

  void walk_on(const Stream& first, const std::vector<SegmentPlace>& places) {
    Lanes lanes(prepared_.open(), first, places);
    stream_ = &first;
    if (sweep_.first_nan != nullptr) {
      check(driver().cuMemsetD8Async(nan_place(), 0xFF, sizeof(int64_t), stream_->handle()),
            "the place of the first NaN");
    }
    for (size_t s = 0; s < program_.segments.size(); ++s) {
      poll();
      const Segment& segment = program_.segments[s];
      if (segment.kind == SegmentKind::kSums) continue;  // done with the levels before it
      stream_ = &lanes.enter(s);
      place_ = places[s].stream;
      scratch_ = scratch_of(place_);
      if (segment.kind == SegmentKind::kLevels) {
        walk_levels(s);
      } else {
        for (const BoundCall& bound : calls_[s]) {
          const Space& space = bound.prepared->instruction->space;
          launch(bound, sweep_.counts.first(space), sweep_.counts.last(space),
                 segment.kind == SegmentKind::kGlobal);
        }
      }
      lanes.leave(s);
    }
    lanes.join();
    stream_ = &first;
    read_first_nan();
  }

  void bind(const TableSources& tables) {
    size_t operands = 0, table_count = 0;
    for (const auto& segment : prepared_.segments) {
      for (const PreparedCall& call : segment) {
        operands += call.instruction->inputs.size() + call.instruction->outputs.size();
        table_count += call.instruction->tables.size();
      }
    }
    operands_.reserve(operands);  // calls point into them
    tables_.reserve(table_count);
    size_t number = 0;
    for (const auto& segment : prepared_.segments) {
      calls_.emplace_back();
      for (const PreparedCall& call : segment) bind_call(call, number++, tables);
    }
  }

  void bind_call(const PreparedCall& prepared, size_t number, const TableSources& tables) {
    const Instruction& instruction = *prepared.instruction;
    BoundCall bound;
    bound.number = static_cast<int>(number);
    bound.prepared = &prepared;
    if (code_.groups[number]) bound.group = &*code_.groups[number];
    bound.call.program = &program_;
    bound.call.instruction = &instruction;
    bound.call.in = operands_.data() + operands_.size();
    bound.call.out = bound.call.in + instruction.inputs.size();
    for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
      for (const int id : *list) operands_.push_back(operand_of(id));
    }
    bound.call.tables = tables_.data() + tables_.size();
    for (const TableSpec& table : instruction.tables) {
      const IndexTable found = resolve_table(table, tables);
      tables_.push_back({found.index, found.ptr, found.list, found.part});
    }
    bound.call.random = &random_;
    calls_.back().push_back(bound);
  }

  Operand operand_of(int id) const {
    const ValueRows rows = rows_of(sweep_, id);
    Operand operand = {rows.data, static_cast<int>(rows.ld), static_cast<int>(rows.size)};
    const Root& root = sweep_.exe.roots[id];
    const ValueSpec& value = program_.values[static_cast<size_t>(root.value)];
    if (value.role == Role::kInput && value.dtype == DType::kInt32) {
      operand.data = const_cast<int32_t*>(lists_.find(List::kInput, value.index)) + root.column;
    }
    return operand;
  }

  Address workspace_address() const {
    return reinterpret_cast<Address>(sweep_.memory + sweep_.plan.workspace_offset);
  }
  Address scratch_of(int stream) const {
    return workspace_address() +
           static_cast<Address>(workspace_.scratch_offset + stream * workspace_.scratch_bytes);
  }
  Address nan_place() const {
    return workspace_address() + static_cast<Address>(workspace_.nan_offset);
  }

  Address random_place() const {
    return workspace_address() + static_cast<Address>(workspace_.random_offset());
  }

  bool has_sums(size_t s) const {
    return s + 1 < program_.segments.size() && program_.segments[s + 1].kind == SegmentKind::kSums;
  }

  void walk_levels(size_t s) {
    const Schedule& schedule = sweep_.schedule;
    const int64_t levels = schedule.num_levels();
    const bool inner = program_.segments[s].space.kind == SpaceKind::kInner;
    const bool sums = has_sums(s);
    std::optional<LevelsRun> together = levels_together(s);
    for (int64_t i = 0; i < levels; ++i) {
      level_ = program_.backward ? levels - 1 - i : i;
      if (inner && level_ == 0) continue;  // all leaves, and nothing but leaves
      poll();
      if (const int64_t done = together ? together->launch(level_) : 0; done > 0) {
        i += done - 1;
        continue;
      }
      for (const BoundCall& bound : calls_[s]) launch_level(bound);
      if (!sums) continue;
      for (const BoundCall& bound : calls_[s + 1]) launch_level(bound);
    }
    level_ = -1;
  }

  // Nothing where each launch is timed or its states are looked at.
  std::optional<LevelsRun> levels_together(size_t s) const {
    if (!persistent_levels() || sweep_.profile != nullptr || sweep_.first_nan != nullptr) {
      return std::nullopt;
    }
    std::vector<LevelsCall> calls;
    for (size_t of = s; of < s + (has_sums(s) ? 2 : 1); ++of) {
      for (const BoundCall& bound : calls_[of]) {
        calls.push_back({bound.call, bound.group != nullptr ? &bound.group->group : nullptr,
                         bound.prepared->kernel, bound.prepared->edges});
        calls.back().call.scratch = scratch_;
      }
    }
    const Address gate = workspace_address() + static_cast<Address>(workspace_.gate_offset(place_));
    return std::optional<LevelsRun>(std::in_place, *code_.levels, sweep_, s, std::move(calls),
                                    lists_, *stream_, gate);
  }

  void launch_level(const BoundCall& bound) {
    const auto& ptr =
        bound.prepared->edges ? sweep_.schedule.level_edge_ptr : sweep_.schedule.level_ptr;
    const auto level = static_cast<size_t>(level_);
    launch(bound, ptr[level], ptr[level + 1], false);
  }

  void launch(const BoundCall& bound, int64_t begin, int64_t end, bool empty_too) {
    if (begin >= end && !empty_too) return;
    DeviceCall call = bound.call;
    call.rows = {static_cast<int>(begin), static_cast<int>(end)};
    call.scratch = scratch_;
    clock_.time(bound.number, level_, end - begin, [&] {
      if (bound.group != nullptr) {
        launch_group(bound.group->group, bound.group->kernel, *stream_, call);
      } else {
        bound.prepared->kernel->launch(library_, *stream_, call);
      }
    });
    if (sweep_.first_nan != nullptr) look_for_nan(bound, call);
  }

  void look_for_nan(const BoundCall& bound, const DeviceCall& call) {
    for (const StateWrite& write : *bound.prepared->state_writes) {
      const Operand& out = call.out[write.output];
      const Address data = reinterpret_cast<Address>(out.data) +
                           static_cast<Address>(write.column * item_size(program_.dtype));
      const int rows = call.rows.end - call.rows.begin;
      const int width = static_cast<int>(write.size);
      const unsigned blocks = static_cast<unsigned>((int64_t{rows} * width + 255) / 256);
      library_.kernel("checks", "find_nan")
          .launch(*stream_, {std::min(blocks, 1024U), 256, 0}, data, out.ld, width, call.rows,
                  write.state, nan_place());
    }
  }

  void read_first_nan() {
    if (sweep_.first_nan == nullptr) return;
    int64_t place = 0;
    stream_->copy_to_host(&place, nan_place(), sizeof(place));
    stream_->synchronize();
    if (place >= 0) sweep_.first_nan->note_place(place);
  }

  const Sweep& sweep_;
  const Program& program_;
  const CudaProgram& prepared_;
  const CudaWorkspace& workspace_;
  const LayoutCode& code_;
  const Stream& first_;             // the caller's
  const Stream* stream_ = nullptr;  // of the segment at hand
  int place_ = 0;                   // its number
  Address scratch_ = 0;             // of the same
  const bool flush_;
  const DeviceLists& lists_;
  Library& library_;
  const Random random_;
  Clock clock_;
  Interrupt interrupt_;
  bool capturing_ = false;
  std::vector<Operand> operands_;
  std::vector<Table> tables_;
  std::vector<std::vector<BoundCall>> calls_;  // [segment]
  int64_t level_ = -1;                         // at hand, for the profile
};

}  // namespace

void walk(const Sweep& sweep, const Stream& stream, bool flush_denormals, const DeviceLists& lists,
          const TableSources& tables) {
  Walker(sweep, stream, flush_denormals, lists, tables).walk();
}

}  // namespace cavs::cuda
