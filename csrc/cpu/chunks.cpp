// Finds local values, and cuts rows into chunks whose local values fit into a cache.
#include "cpu/chunks.h"

#include <algorithm>
#include <utility>

#include "memory/planner.h"

namespace cavs {
namespace {

constexpr int64_t kFewestChunkRows = 32;

void add_local(const Executable& exe, const Segment& segment, int root, int instruction,
               int* number, std::vector<LocalValue>* locals) {
  if (*number < 0) {
    *number = static_cast<int>(locals->size());
    const DynamicTensor& form = exe.forms[root];
    LocalValue local;
    local.value = root;
    const Space& space = exe.program.values[root].space;
    if (has_edges(segment.space) && space.kind == SpaceKind::kEdge) {
      local.edges = edge_list_of(exe.program, space.members);
    }
    local.first = instruction;
    local.row_bytes = form.ld * item_size(form.dtype);
    locals->push_back(local);
  }
  (*locals)[static_cast<size_t>(*number)].last = instruction;
}

}  // namespace

Locals find_locals(const Executable& exe, const Layout& layout, const ExecutionOptions& options) {
  Locals found;
  found.number.assign(exe.program.values.size(), -1);
  for (const Segment& segment : exe.program.segments) {
    std::vector<LocalValue> locals;
    for (size_t i = 0; i < segment.instructions.size(); ++i) {
      const Instruction& instruction = segment.instructions[i];
      for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
        for (const int id : *list) {
          const auto root = static_cast<size_t>(exe.roots[id].value);
          if (layout.confined[root] < 0) continue;
          add_local(exe, segment, static_cast<int>(root), static_cast<int>(i), &found.number[root],
                    &locals);
        }
      }
    }
    found.chunks.push_back(plan_chunk(locals, options, 0));
    found.values.push_back(std::move(locals));
  }
  return found;
}

ChunkPlan plan_chunk(const std::vector<LocalValue>& locals, const ExecutionOptions& options,
                     int64_t max_arity) {
  for (int64_t rows = options.chunk_rows;; rows /= 2) {
    ChunkPlan chunk;
    chunk.rows = rows;
    chunk.edges = std::max(2 * rows, max_arity);
    std::vector<Lifetime> lifetimes;
    lifetimes.reserve(locals.size());
    for (const LocalValue& local : locals) {
      const int64_t count = local.edges >= 0 ? chunk.edges : chunk.rows;
      lifetimes.push_back({count * local.row_bytes, local.first, local.last, -1});
    }
    MemoryPlan plan = plan_memory(lifetimes);
    chunk.offsets = std::move(plan.offsets);
    chunk.bytes = plan.total;
    if (chunk.bytes <= options.chunk_bytes || rows / 2 < kFewestChunkRows) return chunk;
  }
}

}  // namespace cavs
