// The interpreter: every thread walks the segments and levels in the same order.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>

#include "base/thread_pool.h"
#include "runtime/phase.h"

namespace cavs {
namespace {

class Walker {
 public:
  explicit Walker(Phase& phase)
      : phase_(phase),
        program_(phase.exe->program),
        schedule_(*phase.schedule),
        count_(phase.plan->threads),
        barrier_(phase.plan->threads) {}

  void run() {
    if (count_ == 1) {
      walk(0);
    } else {
      parallel_run(count_, [this](int thread, int) { walk(thread); });
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void walk(int thread) {
    pack_weights(thread);
    // The threads meet before and after whatever they share; what one does alone after another such
    // piece needs no meeting. All of them see the same units, so all of them decide alike.
    bool first = true, shared_before = false;
    const auto unit = [&](int s, int64_t begin, int64_t end, int64_t edges) {
      const bool shared =
          count_ > 1 && worth_threads(*phase_.exe, phase_.layout->segments[s], end - begin, edges);
      if (!first && (shared || shared_before)) barrier_.wait();
      first = false;
      shared_before = shared;
      if (shared || thread == 0) attempt(thread, s, begin, end, shared);
    };
    for (int s = 0; s < static_cast<int>(program_.segments.size()); ++s) {
      const Segment& segment = program_.segments[s];
      if (segment.kind == SegmentKind::kLevels) {
        walk_levels(s, unit);
      } else {
        const int64_t first =
            segment.kind == SegmentKind::kGlobal ? 0 : phase_.counts->first(segment.space);
        unit(s, first, first + rows_of(segment),
             phase_.layout->segments[s].has_edges ? schedule_.num_edges : 0);
      }
    }
  }

  // All threads together, before anything else.
  void pack_weights(int thread) {
    bool any = false;
    for (size_t w = 0; w < phase_.weights.size(); ++w) {
      const PackedWeight& packed = phase_.weights[w];
      if (!packed.fresh) continue;
      const WeightUse& use = phase_.exe->weights.uses[w];
      pack_weight(program_.dtype, use.transposed, use.k, use.n, packed.weight,
                  packed.panels->data(), thread, count_);
      any = true;
    }
    if (any && count_ > 1) barrier_.wait();
  }

  template <class Unit>
  void walk_levels(int s, const Unit& unit) {
    const int64_t levels = schedule_.num_levels();
    const bool inner = program_.segments[s].space.kind == SpaceKind::kInner;
    for (int64_t i = 0; i < levels; ++i) {
      const int64_t level = program_.backward ? levels - 1 - i : i;
      if (inner && level == 0) continue;  // all leaves, and nothing but leaves
      unit(s, schedule_.level_ptr[level], schedule_.level_ptr[level + 1],
           schedule_.level_edge_ptr[level + 1] - schedule_.level_edge_ptr[level]);
    }
  }

  // Of a global segment: the most rows that one of its instructions sums over.
  int64_t rows_of(const Segment& segment) const {
    int64_t rows = 0;
    if (segment.kind != SegmentKind::kGlobal) return rows_of(segment.space);
    for (const Instruction& instruction : segment.instructions) {
      rows = std::max(rows, rows_of(instruction.space));
    }
    return rows;
  }

  int64_t rows_of(const Space& space) const {
    return phase_.counts->last(space) - phase_.counts->first(space);
  }

  // A kernel that throws must not leave its partners waiting: its thread keeps coming to the
  // meeting points, and nobody works any more.
  void attempt(int thread, int s, int64_t begin, int64_t end, bool shared) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      if (program_.segments[s].kind == SegmentKind::kGlobal) {
        run_global(thread, s, shared ? count_ : 1);
      } else if (shared) {
        const int64_t from = split(s, begin, end, thread), to = split(s, begin, end, thread + 1);
        run_rows(thread, s, from, to);
      } else {
        run_rows(thread, s, begin, end);
      }
    } catch (...) {
      std::lock_guard<std::mutex> lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  // First row of a thread's share of [begin, end): shares are equal in rows plus edges.
  int64_t split(int s, int64_t begin, int64_t end, int thread) const {
    const int64_t rows = end - begin;
    if (!phase_.layout->segments[s].has_edges) return begin + rows * thread / count_;
    const int32_t* edge = schedule_.child_ptr.data();
    const auto weight = [&](int64_t row) { return row - begin + edge[row] - edge[begin]; };
    const int64_t target = weight(end) * thread / count_;
    int64_t low = begin, high = end;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (weight(middle) < target) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  void run_rows(int thread, int s, int64_t begin, int64_t end) {
    const ChunkPlan& chunk = phase_.plan->chunks[s];
    const bool has_edges = phase_.layout->segments[s].has_edges;
    const int32_t* edge = schedule_.child_ptr.data();
    while (begin < end) {
      int64_t stop = std::min(end, begin + chunk.rows);
      if (!has_edges) {
        run_chunk(thread, s, begin, stop, 0, 0);
      } else {
        if (edge[stop] - edge[begin] > chunk.edges) {
          const int64_t last = edge[begin] + chunk.edges;
          stop = std::upper_bound(edge + begin + 1, edge + stop, last) - edge - 1;
          stop = std::max(stop, begin + 1);
        }
        run_chunk(thread, s, begin, stop, edge[begin], edge[stop]);
      }
      begin = stop;
    }
  }

  void run_chunk(int thread, int s, int64_t begin, int64_t end, int64_t edge_begin,
                 int64_t edge_end) {
    ThreadCode& code = phase_.threads[static_cast<size_t>(thread)];
    const SegmentCode& range = phase_.segments[static_cast<size_t>(s)];
    const bool rides = phase_.layout->segments[s].has_edges;
    for (int i = range.patch_begin; i < range.patch_end; ++i) {
      const Patch& patch = code.patches[static_cast<size_t>(i)];
      // Integer arithmetic: the address of the batch's row 0 lies outside of the thread's memory.
      const auto address = reinterpret_cast<uintptr_t>(patch.base);
      const int64_t skipped = (patch.edge ? edge_begin : begin) * patch.row_bytes;
      code.operands[static_cast<size_t>(patch.operand)].data =
          reinterpret_cast<void*>(address - static_cast<uintptr_t>(skipped));
    }
    for (int i = range.call_begin; i < range.call_end; ++i) {
      KernelCall& call = code.calls[static_cast<size_t>(i)];
      const bool edges =
          rides && phase_.instructions[static_cast<size_t>(i)]->space.kind == SpaceKind::kEdge;
      call.row_begin = edges ? edge_begin : begin;
      call.row_end = edges ? edge_end : end;
      if (call.row_begin < call.row_end) invoke(thread, i, call);
    }
  }

  // Sums over no rows are called too: they write zeros.
  void run_global(int thread, int s, int threads) {
    ThreadCode& code = phase_.threads[static_cast<size_t>(thread)];
    const SegmentCode& range = phase_.segments[static_cast<size_t>(s)];
    for (int i = range.call_begin; i < range.call_end; ++i) {
      KernelCall& call = code.calls[static_cast<size_t>(i)];
      const Space& space = phase_.instructions[static_cast<size_t>(i)]->space;
      call.row_begin = phase_.counts->first(space);
      call.row_end = phase_.counts->last(space);
      call.thread = thread;
      call.num_threads = threads;
      invoke(thread, i, call);
    }
  }

  void invoke(int thread, int i, const KernelCall& call) {
    const KernelFunction function = phase_.instructions[static_cast<size_t>(i)]->function;
    if (phase_.profile.empty() || thread != 0) return function(call);
    const auto start = std::chrono::steady_clock::now();
    function(call);
    const auto elapsed = std::chrono::steady_clock::now() - start;
    CallProfile& profile = phase_.profile[static_cast<size_t>(i)];
    ++profile.calls;
    profile.rows += call.row_end - call.row_begin;
    profile.ns += std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
  }

  Phase& phase_;
  const Program& program_;
  const Schedule& schedule_;
  const int count_;
  Barrier barrier_;
  std::atomic<bool> failed_{false};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

}  // namespace

void run_phase(Phase& phase) { Walker(phase).run(); }

}  // namespace cavs
