// Binds a program to the CPU's kernels.
#include "cpu/prepared.h"

#include <algorithm>

#include "cpu/attention/attention.h"
#include "cpu/kernels/blas.h"
#include "cpu/threads.h"
#include "program/attention_check.h"
#include "program/kernels.h"
#include "runtime/executable.h"

namespace cavs {
namespace {

class Preparation {
 public:
  explicit Preparation(const Executable& exe) : exe_(exe), program_(exe.program) {}

  std::shared_ptr<const CpuProgram> operator()() {
    made_->options = execution_options();
    compiles_ = made_->options.compile_groups && program_.dtype == DType::kFloat32;
    made_->weights = find_weights(program_);
    made_->packed = std::make_unique<WeightStore>(made_->weights.uses.size());
    for (size_t s = 0; s < program_.segments.size(); ++s) add_segment(s);
    // Loaded here, so that a missing library is an error before anything runs.
    if (multiplies_) load_known_blas();
    made_->kept = find_locals(exe_, exe_.kept, made_->options);
    made_->dropped =
        program_.backward ? made_->kept : find_locals(exe_, exe_.dropped, made_->options);
    return std::move(made_);
  }

 private:
  void add_segment(size_t s) {
    const Segment& segment = program_.segments[s];
    PreparedSegment out;
    out.call_begin = static_cast<int>(made_->calls.size());
    for (size_t i = 0; i < segment.instructions.size(); ++i) {
      add_call(s, i);
      const PreparedCall& call = made_->calls.back();
      cost_of(call.edges, &out) += row_ns(program_, *call.instruction);
    }
    out.call_end = static_cast<int>(made_->calls.size());
    out.inner = segment.space.kind == SpaceKind::kInner;
    if (by_levels(segment.kind)) out.by_type = segments_by_type(s);
    made_->segments.push_back(out);
  }

  std::vector<int> segments_by_type(size_t s) const {
    std::vector<int> found(static_cast<size_t>(std::max(1, program_.num_types)), -1);
    const SegmentRange range = taking_turns(program_, s);
    for (size_t i = range.first; i < range.last; ++i) {
      if (program_.segments[i].kind != SegmentKind::kLevels) continue;
      found[static_cast<size_t>(type_of(program_, program_.segments[i].space))] =
          static_cast<int>(i);
    }
    return found;
  }

  // Of a row, or of an edge of a list.
  static double& cost_of(int list, PreparedSegment* segment) {
    if (list < 0) return segment->row_ns;
    for (PreparedSegment::Edges& each : segment->edges) {
      if (each.list == list) return each.ns;
    }
    return segment->edges.emplace_back(PreparedSegment::Edges{list, 0}).ns;
  }

  void add_call(size_t s, size_t i) {
    const Segment& segment = program_.segments[s];
    PreparedCall call;
    call.instruction = &segment.instructions[i];
    const Instruction& instruction = *call.instruction;
    call.function = find_kernel(program_.dtype, instruction.kernel->name);
    if (const Group* group = group_of(instruction)) call.group = prepare_group(*group, compiles_);
    multiplies_ = multiplies_ || product_of(instruction) != nullptr;
    const bool rides = segment.kind != SegmentKind::kGlobal && has_edges(segment.space);
    if (rides && instruction.space.kind == SpaceKind::kEdge) {
      call.edges = edge_list_of(program_, instruction.space.members);
    }
    const int64_t scratch =
        scratch_bytes(program_.dtype, instruction.kernel, instruction.attributes);
    made_->scratch_bytes = std::max(made_->scratch_bytes, align_up(scratch, kAlignment));
    call.weight = made_->weights.of[s][i];
    if (call.weight >= 0) call.weight_operand = weight_operand(program_, instruction);
    call.state_writes = &exe_.state_writes[s][i];
    made_->num_operands += instruction.inputs.size() + instruction.outputs.size();
    made_->num_tables += instruction.tables.size();
    if (is_attention(instruction)) made_->num_tables += kGraphTables + kAttentionTables;
    made_->calls.push_back(std::move(call));
  }

  const Executable& exe_;
  const Program& program_;
  std::shared_ptr<CpuProgram> made_ = std::make_shared<CpuProgram>();
  bool compiles_ = false;
  bool multiplies_ = false;
};

}  // namespace

std::shared_ptr<const CpuProgram> prepare_for_cpu(const Executable& exe) {
  return Preparation(exe)();
}

const CpuProgram& cpu_program(const Executable& exe) {
  return static_cast<const CpuProgram&>(*exe.prepared);
}

}  // namespace cavs
