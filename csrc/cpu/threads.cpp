// Estimates the cost of work, to choose between one thread and all.
#include "cpu/threads.h"

#include <algorithm>

#include "base/thread_pool.h"
#include "cpu/prepared.h"
#include "cpu/turns.h"
#include "program/attention_check.h"
#include "program/kernels.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

constexpr double kFlopsPerNs = 80;

double product_row_ns(const Instruction& product) {
  return product_flops(*product_of(product)) / kFlopsPerNs;
}

// Elements of a row that are read, computed or written. A vector unit computes an operation of a
// group, whatever its FLOPs, in about the time in which it moves a vector.
double elements_of_row(const Program& program, const Instruction& instruction) {
  const double moved = row_cost(program, instruction).bytes / item_size(program.dtype);
  const Group* group = group_of(instruction);
  if (group == nullptr) return moved;
  return moved + static_cast<double>(group->width) * static_cast<double>(group->calls.size());
}

// Nanoseconds of work in the products of a level whose columns threads may share.
double split_ns(const Executable& exe, const CpuProgram& prepared, size_t segment,
                const Schedule& schedule, int64_t begin, int64_t end) {
  const PreparedSegment& range = prepared.segments[segment];
  double total = 0;
  for (int i = range.call_begin; i < range.call_end; ++i) {
    const PreparedCall& call = prepared.calls[static_cast<size_t>(i)];
    const Instruction& product = *call.instruction;
    if (call.weight < 0 || product_of(product) == nullptr) continue;
    int64_t count = end - begin;
    if (call.edges >= 0) {
      const auto& ptr = schedule.edges[static_cast<size_t>(call.edges)].ptr;
      count = ptr[end] - ptr[begin];
    }
    if (!worth_splitting(prepared.options, exe.program.dtype, product, count)) continue;
    total += static_cast<double>(count) * product_row_ns(product);
  }
  return total;
}

// Of vertex rows begin..end - 1, where the segment takes edges along; else of as many rows.
double shared_ns(const Executable& exe, const CpuProgram& prepared, size_t segment,
                 const Schedule& schedule, int64_t begin, int64_t end) {
  const double cost = prepared.segments[segment].cost_ns(schedule, begin, end);
  if (worth_threads(prepared.options, end - begin, cost)) return cost;
  if (sums_rows(exe.program.segments[segment].kind)) return 0;
  return split_ns(exe, prepared, segment, schedule, begin, end);
}

// Of the batches of segments that take turns, from the first of these on.
double levels_ns(const Executable& exe, const CpuProgram& prepared, size_t first,
                 const Schedule& schedule) {
  double total = 0;
  Turns turns;
  for (size_t step = 0; step + 1 < schedule.step_ptr.size(); ++step) {
    find_turns(prepared, schedule, prepared.segments[first].by_type, step, false, &turns);
    if (worth_threads(prepared.options, turns.rows, turns.cost_ns)) {
      total += turns.cost_ns;
      continue;
    }
    for (const Turn& turn : turns.turns) {
      const auto s = static_cast<size_t>(turn.segment);
      total += shared_ns(exe, prepared, s, schedule, turn.begin, turn.end);
    }
  }
  return total;
}

}  // namespace

// Nanoseconds per row on one core of the last years, to within a small factor. It matters only
// whether a level costs one microsecond or a hundred.
double row_ns(const Program& program, const Instruction& instruction) {
  constexpr double kElementsPerNs = 4;
  constexpr double kChildren = 16;  // how many a vertex has is not known here
  if (product_of(instruction) != nullptr) return product_row_ns(instruction);
  if (is_attention(instruction)) {
    return kChildren * row_cost(program, instruction).flops / kFlopsPerNs;
  }
  if (std::holds_alternative<ConvolutionAttributes>(instruction.attributes)) {
    return row_cost(program, instruction).flops / kFlopsPerNs;
  }
  return elements_of_row(program, instruction) / kElementsPerNs;
}

bool worth_threads(const ExecutionOptions& options, int64_t rows, double cost_ns) {
  return rows >= options.min_parallel_rows && cost_ns >= options.min_parallel_ns;
}

bool worth_splitting(const ExecutionOptions& options, DType dtype, const Instruction& product,
                     int64_t rows) {
  // A cache line of a result travels as fast as the flag that a meeting waits for, and some lines
  // travel at a time.
  constexpr double kMeetings = 2.5, kBytesPerMeeting = 1000;
  const MatmulAttributes& sizes = *product_of(product);
  const auto count = static_cast<double>(rows);
  const double bytes = count * static_cast<double>(sizes.m) * static_cast<double>(sizes.n) *
                       static_cast<double>(item_size(dtype));
  const double slow = hand_over_ns() * (kMeetings + bytes / kBytesPerMeeting) / 1000;
  return count * product_row_ns(product) >= options.min_split_ns * std::max(1.0, slow);
}

ThreadChoice choose_threads(const Executable& exe, const CpuProgram& prepared,
                            const RowCounts& counts, const Schedule& schedule, int threads) {
  ThreadChoice choice;
  if (threads <= 1) return choice;
  double shared = 0;
  for (size_t s = 0; s < exe.program.segments.size(); ++s) {
    const Segment& segment = exe.program.segments[s];
    if (segment.kind == SegmentKind::kLevels) {
      if (taking_turns(exe.program, s).first == s) shared += levels_ns(exe, prepared, s, schedule);
      continue;
    }
    if (segment.kind == SegmentKind::kSums) {
      const int type = type_of(exe.program, segment.space);
      for (const Batch& batch : schedule.batches) {
        if (batch.type == type) {
          shared += shared_ns(exe, prepared, s, schedule, batch.begin, batch.end);
        }
      }
      continue;
    }
    int64_t begin = counts.first(segment.space), end = counts.last(segment.space);
    if (segment.kind == SegmentKind::kGlobal) {
      for (const auto& instruction : segment.instructions) {
        end = std::max(end, begin + counts.used(instruction.space));
      }
    }
    shared += shared_ns(exe, prepared, s, schedule, begin, end);
  }
  choice.saved_ns = shared * (threads - 1) / threads;
  if (choice.saved_ns >= prepared.options.min_team_ns) choice.threads = threads;
  return choice;
}

}  // namespace cavs
