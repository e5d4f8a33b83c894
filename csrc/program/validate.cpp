// Checks a whole program before it may run.
#include "program/validate.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/error.h"
#include "program/access.h"
#include "program/attention_check.h"
#include "program/declarations.h"
#include "program/kernels.h"
#include "program/tables.h"
#include "program/text.h"
#include "program/written.h"

namespace cavs {
namespace {

constexpr int kMostSlots = 1 << 16;

// Whether the table's argument may be below 0, for slots that are counted from the last child.
bool counts_slots(TableKind kind) {
  return kind == TableKind::kSlot || kind == TableKind::kParent || kind == TableKind::kParentRows;
}

class Validator {
 public:
  explicit Validator(Program& program)
      : program_(program),
        num_forward_(program.forward ? static_cast<int>(program.forward->values.size()) : 0) {}

  void run() {
    check_declarations(program_);
    roots_ = resolve_views(program_);
    note_saved();
    check_ids();
    written_.emplace(program_, roots_);
    if (program_.forward) by_forward_.emplace(*program_.forward, roots_);
    for (segment_ = 0; segment_ < static_cast<int>(program_.segments.size()); ++segment_) {
      check_segment(program_.segments[segment_]);
    }
    check_results();
  }

 private:
  void note_saved() {
    if (!program_.forward) return;
    saved_by_forward_.assign(program_.forward->values.size(), false);
    for (const int id : program_.forward->saved) {
      saved_by_forward_[static_cast<size_t>(roots_[id].value)] = true;
    }
  }

  void check_ids() const {
    for (const Segment& segment : program_.segments) {
      for (const Instruction& instruction : segment.instructions) {
        const std::string where = "'" + std::string(instruction.kernel->name) + "'";
        for (const auto* list : {&instruction.inputs, &instruction.outputs}) {
          for (const int id : *list) check_id(program_, id, where);
        }
      }
    }
  }

  // The caller's arrays come with any numbers in them.
  void check_results() const {
    for (size_t id = static_cast<size_t>(num_forward_); id < program_.values.size(); ++id) {
      const ValueSpec& value = program_.values[id];
      CAVS_CHECK(value.role != Role::kOutput || written_->whole(static_cast<int>(id)),
                 ErrorKind::kValue, "[program] expected the output '", value.name,
                 "' to be written, got columns or rows that no instruction writes; write them");
    }
  }

  void check_segment(Segment& segment) {
    check_single(program_, segment.space, "a segment");
    CAVS_CHECK(segment.space.kind != SpaceKind::kUnique ||
                   program_.uniques[static_cast<size_t>(segment.space.unique)].rows == 0,
               ErrorKind::kValue,
               "[program] expected a segment over ids that are counted, got ids that are rows "
               "themselves; correct the segment's space");
    CAVS_CHECK(segment.kind != SegmentKind::kLevels || has_edges(segment.space), ErrorKind::kValue,
               "[program] expected a segment by levels over vertices, got '",
               space_name(segment.space, program_.uniques), "'; use a segment by rows");
    check_follows_levels(segment);
    check_turns(segment);
    for (index_ = 0; index_ < static_cast<int>(segment.instructions.size()); ++index_) {
      Instruction& instruction = segment.instructions[index_];
      check_driving_space(segment, instruction);
      check_tables(instruction);
      for (const int id : instruction.outputs) check_output(segment, instruction, id);
      if (instruction.kernel->writes == Writes::kScattered) check_scatter(instruction);
      for (size_t i = 0; i < instruction.inputs.size(); ++i) check_input(instruction, i);
      check_instruction(program_, instruction);
      for (size_t i = 0; i < instruction.inputs.size(); ++i) check_written(instruction, i);
    }
  }

  // Sums by level go with the levels before them.
  void check_follows_levels(const Segment& segment) const {
    if (segment.kind != SegmentKind::kSums) return;
    const Segment* before =
        segment_ > 0 ? &program_.segments[static_cast<size_t>(segment_) - 1] : nullptr;
    CAVS_CHECK(
        before != nullptr && before->kind == SegmentKind::kLevels && before->space == segment.space,
        ErrorKind::kValue,
        "[program] expected sums by level after a segment by levels over the same rows, got "
        "another; put them there");
    for (const Instruction& instruction : segment.instructions) {
      const auto& inputs = instruction.inputs;
      const bool goes_on =
          instruction.outputs.size() == 1 &&
          std::find(inputs.begin(), inputs.end(), instruction.outputs[0]) != inputs.end();
      CAVS_CHECK(goes_on, ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
                 "' by level to go on from its output, got another; give it its output");
    }
  }

  // Of the segments that take turns, one runs the batches of a type.
  void check_turns(const Segment& segment) const {
    if (segment.kind != SegmentKind::kLevels) return;
    const SegmentRange turns = taking_turns(program_, static_cast<size_t>(segment_));
    for (size_t other = turns.first; other < static_cast<size_t>(segment_); ++other) {
      const Segment& before = program_.segments[other];
      CAVS_CHECK(before.kind != SegmentKind::kLevels ||
                     type_of(program_, before.space) != type_of(program_, segment.space),
                 ErrorKind::kValue,
                 "[program] expected one segment by levels of each type, got two of '",
                 space_name(segment.space, program_.uniques), "'; put them together");
    }
  }

  void check_driving_space(const Segment& segment, const Instruction& instruction) const {
    check_single(program_, instruction.space, instruction.kernel->name);
    const bool global = sums_rows(segment.kind);
    const bool rides = has_edges(segment.space) && instruction.space.kind == SpaceKind::kEdge &&
                       parents_of(instruction.space) == type_of(program_, segment.space);
    CAVS_CHECK(segment.kind == SegmentKind::kGlobal || rides || instruction.space == segment.space,
               ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
               "' over the rows of its segment ('", space_name(segment.space, program_.uniques),
               "'), got '", space_name(instruction.space, program_.uniques),
               "'; move it to a segment of its rows");
    CAVS_CHECK(global == (sums_rows(instruction) || goes_over_graphs(instruction)),
               ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
               "' in a segment ",
               global ? "by rows or levels, got a global one" : "that is global, got another",
               "; move it");
  }

  // The type of the vertices that have the edges.
  int parents_of(const Space& edges) const {
    if (edges.members < 0) return 0;
    return program_.edge_lists[static_cast<size_t>(edge_list_of(program_, edges.members))].parents;
  }

  // A table must lead from the rows of the driving space to the rows of the operand.
  void check_tables(Instruction& instruction) const {
    auto& tables = instruction.tables;
    const bool source = instruction.inputs.empty() && tables.size() == 1;
    CAVS_CHECK(source || tables.size() <= instruction.inputs.size(), ErrorKind::kValue,
               "[program] expected one table per input of '", instruction.kernel->name, "', got ",
               tables.size(), " for ", instruction.inputs.size(), "; correct the tables");
    if (!source) tables.resize(instruction.inputs.size());
    for (size_t i = 0; i < tables.size(); ++i) {
      const TableSpec& table = tables[i];
      check_members_of_table(table, instruction.kernel->name);
      const int least = counts_slots(table.kind) ? 1 - kMostSlots : 0;
      CAVS_CHECK(table.argument >= least && table.argument < kMostSlots, ErrorKind::kValue,
                 "[program] expected a table of '", instruction.kernel->name,
                 "' with an argument of ", least, "..", kMostSlots - 1, ", got ", table.argument,
                 "; correct the table");
      const bool by_unique = table.kind == TableKind::kUnique ||
                             table.kind == TableKind::kUniqueRows ||
                             table.kind == TableKind::kUniqueIds || lists_parents(table.kind);
      CAVS_CHECK(!by_unique || is_unique(program_, table.argument), ErrorKind::kValue,
                 "[program] expected a unique of the program in a table of '",
                 instruction.kernel->name, "', got number ", table.argument,
                 "; declare the unique");
      const bool lists = by_unique && table.kind != TableKind::kUnique &&
                         (table.kind != TableKind::kUniqueIds ||
                          program_.uniques[static_cast<size_t>(table.argument)].of < 0);
      CAVS_CHECK(!lists || program_.uniques[static_cast<size_t>(table.argument)].rows == 0,
                 ErrorKind::kValue, "[program] expected ids that are counted in a table of '",
                 instruction.kernel->name,
                 "', got ids that are rows themselves; correct the table");
      const bool has_rows =
          !source && program_.values[instruction.inputs[i]].space.kind != SpaceKind::kNone;
      Space to = source ? instruction.space : program_.values[instruction.inputs[i]].space;
      CAVS_CHECK(table_fits(program_, table, instruction.space, to, has_rows), ErrorKind::kValue,
                 "[program] expected a table from '",
                 space_name(instruction.space, program_.uniques), "' to '",
                 space_name(to, program_.uniques), "' for input ", i, " of '",
                 instruction.kernel->name, "', got another; correct the table");
      if (table.kind == TableKind::kParentRows && !source) check_parts(instruction, i);
    }
  }

  void check_members_of_table(const TableSpec& table, const char* kernel) const {
    const bool none = table.kind == TableKind::kNone || table.kind == TableKind::kGraph ||
                      table.kind == TableKind::kUnique || table.kind == TableKind::kUniqueRows ||
                      table.kind == TableKind::kUniqueIds;
    if (none || program_.num_types == 0) {
      CAVS_CHECK(table.members == -1, ErrorKind::kValue,
                 "[program] expected no members in a table of '", kernel, "', got number ",
                 table.members, "; leave them out");
      return;
    }
    const bool vertices =
        table.kind == TableKind::kGraphVertices || table.kind == TableKind::kVertexOrder;
    check_members_of(program_, !vertices, table.members, kernel);
    const auto size = program_.member_sets[static_cast<size_t>(table.members)].size();
    CAVS_CHECK(vertices || table.kind == TableKind::kEdgeOrder || size == 1, ErrorKind::kValue,
               "[program] expected a table of '", kernel, "' along one list of edges, got ", size,
               "; name one");
  }

  // The operand is the first of the values that stand side by side in a row.
  void check_parts(const Instruction& instruction, size_t i) const {
    const ValueSpec& value = program_.values[instruction.inputs[i]];
    const Root& root = roots_[instruction.inputs[i]];
    const int64_t columns = std::max(1, std::abs(instruction.tables[i].argument)) * value.size;
    CAVS_CHECK(columns <= program_.values[root.value].size - root.column, ErrorKind::kValue,
               "[program] expected ", columns, " columns from '", value.name, "' on for input ", i,
               " of '", instruction.kernel->name, "', got fewer; correct the columns");
  }

  void check_output(const Segment& segment, const Instruction& instruction, int id) const {
    const ValueSpec& value = program_.values[id];
    const ValueSpec& owner = program_.values[roots_[id].value];
    CAVS_CHECK((owner.role == Role::kArena || owner.role == Role::kOutput) &&
                   roots_[id].value >= num_forward_,
               ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
               "' to write a value or output of its own program, got '", value.name,
               "'; write another value");
    const bool attends = is_attention(instruction);  // whose own check knows better
    const Space expected = attends                   ? value.space
                           : sums_rows(segment.kind) ? Space{SpaceKind::kNone, -1}
                                                     : instruction.space;
    const bool scattered = instruction.kernel->writes == Writes::kScattered &&
                           !instruction.tables.empty() &&
                           instruction.tables[0].kind != TableKind::kNone;
    const bool fits =
        value.space == expected || (scattered && is_part(program_, expected, value.space));
    CAVS_CHECK(fits && (scattered || owner.role != Role::kOutput || value.space.members < 0),
               ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
               "' to write rows of '", space_name(expected, program_.uniques), "', got '",
               value.name, "' with rows of '", space_name(value.space, program_.uniques),
               "'; write a value of that space");
  }

  // Rows that are written where a table says. The table must be a permutation and the value an
  // output: the run's own memory holds only the rows in use.
  void check_scatter(const Instruction& instruction) const {
    if (instruction.inputs.size() != 1 || instruction.outputs.size() != 1) return;  // refused below
    const TableKind kind = instruction.tables[0].kind;
    if (kind == TableKind::kNone) return;
    const ValueSpec& in = program_.values[instruction.inputs[0]];
    const ValueSpec& owner = program_.values[roots_[instruction.outputs[0]].value];
    const bool order = kind == TableKind::kVertexOrder || kind == TableKind::kEdgeOrder;
    const bool aligned =
        in.space.kind == SpaceKind::kNone || is_part(program_, instruction.space, in.space);
    const bool own = owner.space.members == instruction.tables[0].members;
    CAVS_CHECK(
        order && aligned && own && owner.role == Role::kOutput, ErrorKind::kValue,
        "[program] expected rows of an output that 'store' writes in the user's order, got '",
        owner.name, "' through another table, or from other rows; store without a table");
  }

  void check_input(const Instruction& instruction, size_t input) const {
    const int root = roots_[instruction.inputs[input]].value;
    const ValueSpec& owner = program_.values[root];
    if (owner.role == Role::kInput) check_given(instruction, input, owner);
    if (owner.role != Role::kArena) return;
    const bool any_row = instruction.tables[input].kind == TableKind::kVertexOrder &&
                         access_of(program_, instruction, input) == Access::kCross;
    const bool all_rows = owner.space.kind == SpaceKind::kVertex && program_.num_types == 0;
    CAVS_CHECK(!any_row || all_rows, ErrorKind::kValue,
               "[program] expected rows of all vertices for '", instruction.kernel->name,
               "' to read in the user's order, got '", owner.name, "' with rows of '",
               space_name(owner.space, program_.uniques), "'; read another value");
    CAVS_CHECK(root >= num_forward_ || saved_by_forward_[static_cast<size_t>(root)],
               ErrorKind::kValue, "[program] expected '", owner.name,
               "' among the forward program's saved values, because '", instruction.kernel->name,
               "' of the backward program reads it, got another value; save it");
  }

  // In a program of types an array of the caller has no rows for vertices of other types.
  void check_given(const Instruction& instruction, size_t input, const ValueSpec& array) const {
    if (array.space.members < 0) return;
    const TableSpec& table = instruction.tables[input];
    const bool order = table.kind == TableKind::kVertexOrder || table.kind == TableKind::kEdgeOrder;
    CAVS_CHECK(order && table.members == array.space.members, ErrorKind::kValue,
               "[program] expected '", instruction.kernel->name, "' to read input '", array.name,
               "' in the order of its own rows, got another table; read it so");
  }

  void check_written(const Instruction& instruction, size_t input) const {
    const int root = roots_[instruction.inputs[input]].value;
    const ValueSpec& owner = program_.values[root];
    if (owner.role == Role::kParam || owner.role == Role::kInput) return;
    const bool written = root < num_forward_ ? by_forward_->covers(program_, instruction, input)
                                             : written_->before(segment_, index_, input);
    CAVS_CHECK(written, ErrorKind::kValue, "[program] expected '", owner.name,
               "' to be written before '", instruction.kernel->name, "' (instruction ", index_,
               " of segment ", segment_,
               ") reads it, got columns or rows that are not; write them earlier");
  }

  Program& program_;
  const int num_forward_;
  std::vector<Root> roots_;
  std::vector<bool> saved_by_forward_;  // [value of the forward program]
  std::optional<WrittenValues> written_, by_forward_;
  int segment_ = 0, index_ = 0;
};

}  // namespace

void validate(Program& program) {
  CAVS_CHECK(program.backward == (program.forward != nullptr), ErrorKind::kValue,
             "[program] expected a backward program to name its forward program, got one without, "
             "or a forward program that names one; give it to backward programs only");
  CAVS_CHECK(!program.forward || !program.forward->backward, ErrorKind::kValue,
             "[program] expected a forward program to differentiate, got a backward program; give "
             "its forward program");
  CAVS_CHECK(!program.forward || program.forward->dtype == program.dtype, ErrorKind::kValue,
             "[program] expected the forward program's dtype, got ", dtype_name(program.dtype),
             "; emit both in one dtype");
  Validator(program).run();
}

}  // namespace cavs
