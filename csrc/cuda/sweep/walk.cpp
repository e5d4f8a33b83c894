// Launches the instructions of a sweep: on one stream one after the other, on several those that do
// not need each other.
#include "cuda/sweep/walk.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/interrupt.h"
#include "base/matmul_precision.h"
#include "cuda/code/library.h"
#include "cuda/driver/counters.h"
#include "cuda/launches/row_launches.h"
#include "cuda/levels/levels.h"
#include "cuda/sweep/graphs.h"
#include "cuda/sweep/launch_times.h"
#include "cuda/sweep/streams.h"
#include "runtime/executable.h"
#include "runtime/memory_plan.h"
#include "runtime/places.h"

namespace cavs::cuda {
namespace {

Random random_of(const RandomContext& context, Address state, const DeviceLists& lists,
                 std::vector<RandomRows>* edges) {
  Random random;
  random.state = reinterpret_cast<const RandomState*>(state);
  random.training = context.training ? 1 : 0;
  random.graph_key = reinterpret_cast<const long long*>(lists.find({List::kGraphKeys}));
  random.vertices = {lists.find({List::kGraph}), lists.find({List::kLocal})};
  for (size_t list = 0; list < context.edges.size(); ++list) {
    const int number = static_cast<int>(list);
    edges->push_back(
        {lists.find({List::kEdgeGraph, 0, number}), lists.find({List::kEdgeLocal, 0, number})});
  }
  random.edges = edges->data();
  return random;
}

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
        bound_(
            code_.calls, random_of(sweep.random, random_place(), lists, &random_edges_),
            [&](int id) { return operand_of(id); },
            [&](const TableSpec& spec, const Space& space) {
              const IndexTable table = resolve_table(spec, space, tables);
              return Table{table.index, table.ptr, table.list, table.part};
            }),
        times_(sweep, stream) {}

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
    times_.finish(bound_.calls.size());
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
    for (const Operand& operand : bound_.operands)
      key.push_back(reinterpret_cast<uint64_t>(operand.data));
    for (const Table& table : bound_.tables) {
      for (const int* list : {table.index, table.ptr, table.list, table.part}) {
        key.push_back(reinterpret_cast<uint64_t>(list));
      }
    }
    // A batch ends where the next one of its type begins, or its type ends.
    for (const Batch& batch : sweep_.schedule.batches) {
      key.push_back(static_cast<uint64_t>(batch.type) << 32 | static_cast<uint64_t>(batch.begin));
      for (const EdgeRows& edges : sweep_.schedule.edges) {
        key.push_back(static_cast<uint64_t>(edges.ptr[batch.begin]));
      }
    }
    for (const TypeRows& rows : sweep_.schedule.types) {
      for (const int64_t row : {rows.first, rows.inner, rows.last}) {
        key.push_back(static_cast<uint64_t>(row));
      }
    }
    for (const EdgeRows& edges : sweep_.schedule.edges) {
      key.push_back(static_cast<uint64_t>(edges.size()));
    }
    key.push_back(scratch_of(0));
    if (prepared_.random) {
      const Random& random = bound_.random;
      key.push_back(static_cast<uint64_t>(random.training));
      key.push_back(reinterpret_cast<uint64_t>(random.graph_key));
      const auto add = [&key](const RandomRows& rows) {
        key.push_back(reinterpret_cast<uint64_t>(rows.graph));
        key.push_back(reinterpret_cast<uint64_t>(rows.local));
      };
      add(random.vertices);
      for (const RandomRows& rows : random_edges_) add(rows);
    }
    key.push_back(persistent_levels() ? reinterpret_cast<uint64_t>(lists_.find({List::kLevelPtr}))
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
      const SegmentRange turns = taking_turns(program_, s);
      if (turns.first < s) continue;  // done with the levels before it
      stream_ = &lanes.enter(s);
      place_ = places[s].stream;
      scratch_ = scratch_of(place_);
      if (segment.kind == SegmentKind::kLevels) {
        walk_batches(turns);
      } else {
        for (size_t i = prepared_.first_call(s); i < prepared_.last_call(s); ++i) {
          const Space& space = prepared_.calls[i].instruction->space;
          launch(i, sweep_.counts.first(space), sweep_.counts.last(space),
                 segment.kind == SegmentKind::kGlobal);
        }
      }
      lanes.leave(s);
    }
    lanes.join();
    stream_ = &first;
    read_first_nan();
  }

  Operand operand_of(int id) const {
    const ValueRows rows = rows_of(sweep_, id);
    Operand operand = {rows.data, static_cast<int>(rows.ld), static_cast<int>(rows.size)};
    const Root& root = sweep_.exe.roots[id];
    const ValueSpec& value = program_.values[static_cast<size_t>(root.value)];
    if (value.role == Role::kInput && value.dtype == DType::kInt32) {
      operand.data = const_cast<int32_t*>(lists_.find({List::kInput, value.index})) + root.column;
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

  // Goes through the batches in order; of these segments each has the batches of its type.
  void walk_batches(const SegmentRange& turns) {
    const Schedule& schedule = sweep_.schedule;
    std::vector<int> of_type(schedule.types.size(), -1);
    for (size_t s = turns.first; s < turns.last; ++s) {
      const Segment& segment = program_.segments[s];
      if (segment.kind != SegmentKind::kLevels) continue;
      of_type[static_cast<size_t>(type_of(program_, segment.space))] = static_cast<int>(s);
    }
    std::optional<LevelsLaunches> together = levels_together(turns.first);
    const int64_t count = schedule.num_batches();
    for (int64_t i = 0; i < count; ++i) {
      level_ = program_.backward ? count - 1 - i : i;
      const Batch& batch = schedule.batches[static_cast<size_t>(level_)];
      if (of_type[static_cast<size_t>(batch.type)] < 0) continue;
      const auto s = static_cast<size_t>(of_type[static_cast<size_t>(batch.type)]);
      const bool inner = program_.segments[s].space.kind == SpaceKind::kInner;
      const int64_t leaves = schedule.types[static_cast<size_t>(batch.type)].inner;
      if (inner && batch.end <= leaves) continue;  // leaves, which ran before
      poll();
      if (const int64_t done = together ? together->launch(level_) : 0; done > 0) {
        i += done - 1;
        continue;
      }
      for (size_t i = prepared_.first_call(s); i < prepared_.last_call(s, true); ++i) {
        launch_batch(i, batch);
      }
    }
    level_ = -1;
  }

  // Nothing where each launch is timed or its states are looked at.
  std::optional<LevelsLaunches> levels_together(size_t s) const {
    const bool watched = sweep_.profile != nullptr || sweep_.first_nan != nullptr;
    if (!persistent_levels() || watched || sweep_.schedule.typed) {
      return std::nullopt;
    }
    std::vector<BoundCall> calls = prepared_.of_levels(bound_.calls, s);
    for (BoundCall& it : calls) it.call.scratch = scratch_;
    const Address gate = workspace_address() + static_cast<Address>(workspace_.gate_offset(place_));
    return std::optional<LevelsLaunches>(std::in_place, *code_.levels, sweep_, s, std::move(calls),
                                         lists_, *stream_, gate);
  }

  void launch_batch(size_t i, const Batch& batch) {
    if (!prepared_.calls[i].edges) return launch(i, batch.begin, batch.end, false);
    const int list = edge_list_of(program_, prepared_.calls[i].instruction->space.members);
    const auto& ptr = sweep_.schedule.edges[static_cast<size_t>(list)].ptr;
    launch(i, ptr[batch.begin], ptr[batch.end], false);
  }

  void launch(size_t i, int64_t begin, int64_t end, bool empty_too) {
    if (begin >= end && !empty_too) return;
    const BoundCall& bound = bound_.calls[i];
    DeviceCall call = bound.call;
    call.rows = {static_cast<int>(begin), static_cast<int>(end)};
    call.scratch = scratch_;
    if (is_attention(*call.instruction)) {
      const auto list = static_cast<size_t>(edges_of_attention(program_, *call.instruction));
      check_places(*call.instruction, sweep_.schedule.edges[list].max_arity);
      const int key = call.instruction->inputs[key_of(*call.instruction)];
      const Space& space = program_.values[static_cast<size_t>(key)].space;
      call.keys = {static_cast<int>(sweep_.counts.first(space)),
                   static_cast<int>(sweep_.counts.last(space))};
    }
    times_.time(static_cast<int>(i), level_, end - begin, [&] {
      if (bound.group != nullptr) {
        launch_group(bound.group->printed, bound.group->kernel, *stream_, call);
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
  std::vector<RandomRows> random_edges_;  // before what points to it
  const BoundCalls bound_;
  LaunchTimes times_;
  Interrupt interrupt_;
  bool capturing_ = false;
  int64_t level_ = -1;  // at hand, for the profile
};

}  // namespace

void walk(const Sweep& sweep, const Stream& stream, bool flush_denormals, const DeviceLists& lists,
          const TableSources& tables) {
  Walker(sweep, stream, flush_denormals, lists, tables).walk();
}

}  // namespace cavs::cuda
