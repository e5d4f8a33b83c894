// The interpreter: one thread walks the segments and levels; others help where there is work
// enough.
#include <algorithm>
#include <atomic>

#include "base/interrupt.h"
#include "base/stopwatch.h"
#include "base/thread_pool.h"
#include "cpu/bind.h"
#include "cpu/state_checks.h"
#include "cpu/threads.h"
#include "cpu/turns.h"
#include "program/attention_check.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

class Walker {
 public:
  Walker(BoundSweep& bound, Team& team)
      : bound_(bound),
        prepared_(bound.prepared),
        program_(bound.sweep.exe.program),
        schedule_(bound.sweep.schedule),
        counts_(bound.sweep.counts),
        team_(team),
        count_(bound.workspace.threads) {}

  void walk() {
    pack_weights();
    for (int s = 0; s < static_cast<int>(program_.segments.size()); ++s) {
      if (stopped(0)) return;
      const Segment& segment = program_.segments[s];
      if (by_levels(segment.kind)) {
        const SegmentRange turns = taking_turns(program_, static_cast<size_t>(s));
        walk_batches(turns);
        s = static_cast<int>(turns.last) - 1;
      } else if (segment.kind == SegmentKind::kGlobal) {
        walk_global(s);
      } else {
        const int64_t first = counts_.first(segment.space), last = counts_.last(segment.space);
        walk_rows(s, first, last, cost_ns(s, first, last));
      }
    }
  }

 private:
  // Team::share, with the clocks of the profile.
  template <class Work>
  void share(int parts, const Work& work) {
    if (bound_.profile.empty()) return team_.share(parts, work);
    Stopwatch whole;
    team_.share(parts, [&](int thread, int part) {
      Stopwatch watch;
      work(thread, part);
      bound_.profile[static_cast<size_t>(thread)].parts_ns += watch.lap();
    });
    bound_.profile[0].shares_ns += whole.lap();
  }

  // Whether the call is to end before it is done. Thread 0 is the caller's, and throws then.
  bool stopped(int thread) {
    if (thread == 0) {
      try {
        interrupt_.poll();
      } catch (...) {
        stopped_.store(true, std::memory_order_relaxed);
        throw;
      }
    }
    return stopped_.load(std::memory_order_relaxed);
  }

  void pack_weights() {
    for (size_t w = 0; w < bound_.weights.size(); ++w) {
      const PackedWeight& packed = bound_.weights[w];
      if (!packed.fresh) continue;
      const WeightUse& use = prepared_.weights.uses[w];
      share(count_, [&](int thread, int part) {
        const int64_t start = bound_.profile.empty() ? 0 : begun_.passed();
        void* const scratch = bound_.threads[static_cast<size_t>(thread)].calls[0].scratch;
        pack_use(program_.dtype, use, packed.weight, packed.panels->data(), scratch, part, count_);
        if (bound_.profile.empty()) return;
        ProfileEvent event;
        event.start = start;
        event.parts = count_;
        bound_.profile[static_cast<size_t>(thread)].packing_ns += note(thread, event);
      });
    }
  }

  // Goes through the batches in order; of these segments each has the batches of its type.
  void walk_batches(const SegmentRange& range) {
    const std::vector<int>& segments = segment_of(static_cast<int>(range.first)).by_type;
    if (count_ == 1) return walk_batches_alone(segments);
    const size_t count = schedule_.step_ptr.size() - 1;
    for (size_t i = 0; i < count; ++i) {
      const size_t step = program_.backward ? count - 1 - i : i;
      find_turns(prepared_, schedule_, segments, step, program_.backward, &turns_);
      if (turns_.turns.empty()) continue;
      if (stopped(0)) return;
      if (turns_.turns.size() > 1 && worth(turns_.rows, turns_.cost_ns)) {
        walk_together();
        continue;
      }
      for (const Turn& turn : turns_.turns) {
        if (stopped(0)) return;
        walk_batch(turn);
      }
    }
    at_batch(-1);
  }

  // Of one thread, for which it does not matter which batches wait for each other.
  void walk_batches_alone(const std::vector<int>& segments) {
    const int64_t count = schedule_.num_batches();
    Turn turn;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t batch = program_.backward ? count - 1 - i : i;
      if (!find_turn(prepared_, schedule_, segments, batch, &turn)) continue;
      if (stopped(0)) return;
      walk_batch(turn);
    }
    at_batch(-1);
  }

  void walk_batch(const Turn& turn) {
    at_batch(turn.batch);
    walk_rows(turn.segment, turn.begin, turn.end, turn.cost_ns);
    if (sums_follow(turn.segment)) walk_sums(turn.segment + 1, turn.begin, turn.end);
  }

  // Runs batches that do not wait for each other at once: threads meet once, and not for each.
  void walk_together() {
    share(count_, [&](int thread, int part) {
      const TurnRow first = first_of_part(prepared_, schedule_, turns_, part, count_);
      const TurnRow last = first_of_part(prepared_, schedule_, turns_, part + 1, count_);
      for (size_t t = first.turn; t < turns_.turns.size() && t <= last.turn; ++t) {
        const Turn& turn = turns_.turns[t];
        if (!bound_.profile.empty()) bound_.profile[static_cast<size_t>(thread)].batch = turn.batch;
        run_rows(thread, turn.segment, t == first.turn ? first.row : turn.begin,
                 t == last.turn ? last.row : turn.end);
      }
    });
    for (const Turn& turn : turns_.turns) {
      if (!sums_follow(turn.segment)) continue;
      at_batch(turn.batch);
      walk_sums(turn.segment + 1, turn.begin, turn.end);
    }
  }

  // The batch that runs next, for the profile.
  void at_batch(int64_t number) {
    for (ThreadProfile& profile : bound_.profile) profile.batch = number;
  }

  bool sums_follow(int s) const { return cavs::sums_follow(program_, static_cast<size_t>(s)); }

  // Runs the sums over a level's rows one after the other, because each may go on from the one
  // before.
  void walk_sums(int s, int64_t begin, int64_t end) {
    const Rows rows{begin, end};
    const PreparedSegment& range = segment_of(s);
    const int parts = worth(end - begin, cost_ns(s, begin, end)) ? count_ : 1;
    for (int i = range.call_begin; i < range.call_end; ++i) {
      share(parts, [&](int thread, int part) {
        KernelCall call = bound_.threads[static_cast<size_t>(thread)].calls[static_cast<size_t>(i)];
        set_rows(i, rows, &call);
        if (call.row_begin >= call.row_end) return;
        call.thread = part;
        call.num_threads = parts;
        invoke(thread, i, call);
      });
    }
  }

  // Shares the rows of a segment among the threads where there are enough rows, else the columns of
  // its products.
  void walk_rows(int s, int64_t begin, int64_t end, double cost_ns) {
    const PreparedSegment& segment = segment_of(s);
    const auto first = [&](int part) {
      return row_at(segment, schedule_, begin, end, part, count_);
    };
    if (worth(end - begin, cost_ns)) {
      share(count_,
            [&](int thread, int part) { run_rows(thread, s, first(part), first(part + 1)); });
    } else if (count_ > 1 && splits_products(s, begin, end)) {
      run_chunk(0, s, {begin, end}, true);
    } else {
      run_rows(0, s, begin, end);
    }
  }

  // Roughly, as `worth` takes it: one thread does not ask.
  double cost_ns(int s, int64_t begin, int64_t end) const {
    return count_ > 1 ? segment_of(s).cost_ns(schedule_, begin, end) : 0;
  }

  // Whether threads share work of this size.
  bool worth(int64_t rows, double cost_ns) const {
    return count_ > 1 && worth_threads(prepared_.options, rows, cost_ns);
  }

  // Each instruction sums over all rows, and splits its output.
  void walk_global(int s) {
    int64_t rows = 0;
    for (const Instruction& instruction : program_.segments[s].instructions) {
      const Space& space = instruction.space;
      rows = std::max(rows, counts_.used(space));
    }
    const double cost = static_cast<double>(rows) * segment_of(s).row_ns;
    const int parts = worth(rows, cost) ? count_ : 1;
    share(parts, [&](int thread, int part) { run_global(thread, s, part, parts); });
  }

  void run_rows(int thread, int s, int64_t begin, int64_t end) {
    const ChunkPlan& chunk = *bound_.workspace.chunks[static_cast<size_t>(s)];
    for (bool first = true; begin < end; first = false) {
      if (!first && stopped(thread)) return;
      int64_t stop = std::min(end, begin + chunk.rows);
      for (const PreparedSegment::Edges& each : segment_of(s).edges) {
        const int32_t* edge = edge_ptr(each.list);
        if (edge[stop] - edge[begin] <= chunk.edges) continue;
        const int64_t last = edge[begin] + chunk.edges;
        stop = std::upper_bound(edge + begin + 1, edge + stop, last) - edge - 1;
        stop = std::max(stop, begin + 1);
      }
      run_chunk(thread, s, {begin, stop}, false);
      begin = stop;
    }
  }

  struct Rows {
    int64_t begin, end;
  };

  // [vertex row + 1] CSR: the edges of a list.
  const int32_t* edge_ptr(int list) const {
    return schedule_.edges[static_cast<size_t>(list)].ptr.data();
  }

  // With `splitting`, of thread 0 alone, all threads share the products that are worth it.
  void run_chunk(int thread, int s, const Rows& rows, bool splitting) {
    place_locals(thread, s, rows);
    const PreparedSegment& range = segment_of(s);
    for (int i = range.call_begin; i < range.call_end; ++i) {
      KernelCall& call = bound_.threads[static_cast<size_t>(thread)].calls[static_cast<size_t>(i)];
      set_rows(i, rows, &call);
      if (call.row_begin >= call.row_end) continue;
      if (splitting && splits(i, rows)) {
        share(count_, [&](int taker, int part) {
          KernelCall columns = call;
          columns.thread = part;
          columns.num_threads = count_;
          invoke(taker, i, columns);
        });
      } else {
        invoke(thread, i, call);
      }
      check(i, call);
    }
  }

  void place_locals(int thread, int s, const Rows& rows) {
    ThreadCode& code = bound_.threads[static_cast<size_t>(thread)];
    const PatchRange& range = bound_.patches[static_cast<size_t>(s)];
    for (int i = range.begin; i < range.end; ++i) {
      const Patch& patch = code.patches[static_cast<size_t>(i)];
      // Integer arithmetic: the address of the batch's row 0 lies outside of the thread's memory.
      const auto address = reinterpret_cast<uintptr_t>(patch.base);
      const int64_t first = patch.edges < 0 ? rows.begin : edge_ptr(patch.edges)[rows.begin];
      const int64_t skipped = first * patch.row_bytes;
      code.operands[static_cast<size_t>(patch.operand)].data =
          reinterpret_cast<void*>(address - static_cast<uintptr_t>(skipped));
    }
  }

  const PreparedSegment& segment_of(int s) const {
    return prepared_.segments[static_cast<size_t>(s)];
  }
  const PreparedCall& call_of(int i) const { return prepared_.calls[static_cast<size_t>(i)]; }

  void set_rows(int i, const Rows& rows, KernelCall* call) const {
    const int list = call_of(i).edges;
    call->row_begin = list < 0 ? rows.begin : edge_ptr(list)[rows.begin];
    call->row_end = list < 0 ? rows.end : edge_ptr(list)[rows.end];
  }

  // Whether the rows are too few to share, but some products are worth a meeting all the same. The
  // threads then share the columns of these products, each with its part of the weight in its
  // cache. One thread does the rest alone.
  bool splits_products(int s, int64_t begin, int64_t end) const {
    const ChunkPlan& chunk = *bound_.workspace.chunks[static_cast<size_t>(s)];
    const PreparedSegment& range = segment_of(s);
    if (end - begin > chunk.rows) return false;
    for (const PreparedSegment::Edges& each : range.edges) {
      const int32_t* edge = edge_ptr(each.list);
      if (edge[end] - edge[begin] > chunk.edges) return false;
    }
    for (int i = range.call_begin; i < range.call_end; ++i) {
      if (splits(i, {begin, end})) return true;
    }
    return false;
  }

  bool splits(int i, const Rows& rows) const {
    if (!bound_.splittable[static_cast<size_t>(i)]) return false;
    KernelCall call;
    set_rows(i, rows, &call);
    return worth_splitting(prepared_.options, program_.dtype, *call_of(i).instruction,
                           call.row_end - call.row_begin);
  }

  // Sums over no rows are called too: they write zeros.
  void run_global(int thread, int s, int part, int parts) {
    ThreadCode& code = bound_.threads[static_cast<size_t>(thread)];
    const PreparedSegment& range = segment_of(s);
    for (int i = range.call_begin; i < range.call_end; ++i) {
      if (stopped(thread)) return;
      KernelCall& call = code.calls[static_cast<size_t>(i)];
      const Instruction& instruction = *call_of(i).instruction;
      const bool by_graph = goes_over_graphs(instruction);
      call.row_begin = by_graph ? 0 : counts_.first(instruction.space);
      call.row_end = by_graph ? schedule_.num_graphs : counts_.last(instruction.space);
      call.thread = part;
      call.num_threads = parts;
      invoke(thread, i, call);
    }
  }

  void check(int i, const KernelCall& call) const {
    FirstNan* const first_nan = bound_.sweep.first_nan;
    if (first_nan == nullptr) return;
    const std::vector<StateWrite>& writes = *call_of(i).state_writes;
    if (!writes.empty()) check_states(program_.dtype, writes, call, first_nan);
  }

  void invoke(int thread, int i, const KernelCall& call) {
    const KernelFunction function = call_of(i).function;
    if (bound_.profile.empty()) return function(call);
    int64_t left_out = 0;
    KernelCall counted = call;
    counted.left_out = &left_out;
    ProfileEvent event;
    event.call = i;
    event.level = bound_.profile[static_cast<size_t>(thread)].batch;
    event.parts = call.num_threads;
    event.start = begun_.passed();
    function(counted);
    event.rows = rows_of(*call_of(i).instruction, call) - left_out;
    CallProfile& profile =
        bound_.profile[static_cast<size_t>(thread)].calls[static_cast<size_t>(i)];
    profile.ns += note(thread, event);
    if (call.thread != 0) return;  // part 0 counts the rows
    ++profile.calls;
    profile.rows += event.rows;
  }

  // What a call's FLOPs are counted by: rows, or the edges of an attention.
  int64_t rows_of(const Instruction& instruction, const KernelCall& call) const {
    if (!is_attention(instruction)) return call.row_end - call.row_begin;
    if (goes_over_graphs(instruction)) {
      return counts_.edges_of(edges_of_attention(program_, instruction));
    }
    const bool by_children = sizes_of_attention(instruction).children;
    const int32_t* ptr = call.tables[by_children ? 0 : key_of(instruction)].ptr;
    return ptr[call.row_end] - ptr[call.row_begin];
  }

  // Keeps an event that ends now; returns how long it took.
  int64_t note(int thread, ProfileEvent event) {
    event.thread = thread;
    event.ns = begun_.passed() - event.start;
    bound_.profile[static_cast<size_t>(thread)].keep(event);
    return event.ns;
  }

  BoundSweep& bound_;
  const CpuProgram& prepared_;
  const Program& program_;
  const Schedule& schedule_;
  const RowCounts& counts_;
  Team& team_;
  const Stopwatch begun_;
  Turns turns_;  // of the step at hand
  Interrupt interrupt_;
  std::atomic<bool> stopped_{false};
  const int count_;  // of parts; results must not depend on which threads take them
};

}  // namespace

void walk(BoundSweep& bound) {
  run_team(bound.workspace.threads, bound.workspace.saved_ns,
           [&bound](Team& team) { Walker(bound, team).walk(); });
}

}  // namespace cavs
