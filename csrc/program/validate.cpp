// Checks a whole program before it may run.
#include "program/validate.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "program/access.h"
#include "program/kernels.h"
#include "program/tables.h"
#include "program/text.h"
#include "program/written.h"

namespace cavs {
namespace {

constexpr int kMostArrays = 1 << 20;  // in each of the caller's lists
constexpr int64_t kMostRows = 0x7fffffff;
constexpr int kMostSlots = 1 << 16;
constexpr size_t kMostStates = 1 << 16;  // see FirstNan

class Validator {
 public:
  explicit Validator(Program& program)
      : program_(program),
        num_forward_(program.forward ? static_cast<int>(program.forward->values.size()) : 0) {}

  void run() {
    check_uniques();
    check_values();
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
  void check_uniques() const {
    for (const UniqueSpec& unique : program_.uniques) {
      CAVS_CHECK(unique.rows >= 0 && unique.rows <= kMostRows, ErrorKind::kValue,
                 "[program] expected unique '", unique.name, "' to have 0..", kMostRows,
                 " rows, got ", unique.rows, "; correct the unique");
      for (const int input : unique.inputs) {
        CAVS_CHECK(input >= 0 && input < kMostArrays, ErrorKind::kValue,
                   "[program] expected the ids of unique '", unique.name, "' to be an input of 0..",
                   kMostArrays - 1, ", got number ", input, "; number an input");
      }
      if (unique.of >= 0) {
        check_ids_of_tuples(unique);
      } else {
        check_counted(unique);
      }
    }
    if (!program_.forward) return;
    const auto& forward = program_.forward->uniques;
    CAVS_CHECK(program_.uniques.size() == forward.size(), ErrorKind::kValue,
               "[program] expected the ", forward.size(), " uniques of the forward program, got ",
               program_.uniques.size(), "; give both programs the same ones");
    for (size_t i = 0; i < forward.size(); ++i) {
      const UniqueSpec& mine = program_.uniques[i];
      CAVS_CHECK(mine.name == forward[i].name && mine.inputs == forward[i].inputs &&
                     mine.base == forward[i].base && mine.rows == forward[i].rows &&
                     mine.of == forward[i].of,
                 ErrorKind::kValue, "[program] expected the forward program's unique '",
                 forward[i].name, "', got '", mine.name,
                 "', or one of that name that differs; give both programs the same ones");
    }
  }

  void check_counted(const UniqueSpec& unique) const {
    const bool tuples = unique.inputs.size() > 1;
    CAVS_CHECK(!unique.inputs.empty() && (!tuples || unique.rows == 0), ErrorKind::kValue,
               "[program] expected one input, or tuples of inputs that are counted, in unique '",
               unique.name, "', got ", unique.inputs.size(), " inputs; correct its inputs");
    const SpaceKind kind = unique.base.kind;
    CAVS_CHECK(is_vertex_rows(kind) || kind == SpaceKind::kEdge || kind == SpaceKind::kGraph,
               ErrorKind::kValue, "[program] expected unique '", unique.name,
               "' over vertices, edges or graphs, got another space; correct its space");
  }

  // The ids and the tuples must be counted earlier, and among the same rows.
  void check_ids_of_tuples(const UniqueSpec& unique) const {
    const auto counted = [&](int number) {
      const auto end = &unique - program_.uniques.data();
      return number >= 0 && number < end && program_.uniques[number].of < 0;
    };
    const int tuples = unique.base.kind == SpaceKind::kUnique ? unique.base.unique : -1;
    CAVS_CHECK(counted(unique.of) && counted(tuples), ErrorKind::kValue,
               "[program] expected ids and tuples that are counted before in unique '", unique.name,
               "', got numbers ", unique.of, " and ", tuples, "; declare those first");
    const UniqueSpec &ids = program_.uniques[unique.of], &whole = program_.uniques[tuples];
    const bool part = std::all_of(ids.inputs.begin(), ids.inputs.end(), [&](int input) {
      return std::count(whole.inputs.begin(), whole.inputs.end(), input) > 0;
    });
    CAVS_CHECK(part && ids.base == whole.base && ids.rows == unique.rows && unique.inputs.empty(),
               ErrorKind::kValue, "[program] expected '", ids.name, "' to be part of '", whole.name,
               "' among the same rows, and no inputs of its own, got others; correct its ids");
  }

  void check_space(const Space& space, const std::string& name) const {
    CAVS_CHECK(space.kind != SpaceKind::kUnique ||
                   (is_unique(space.unique) && program_.uniques[space.unique].of < 0),
               ErrorKind::kValue, "[program] expected a unique of the program as the space of '",
               name, "', got number ", space.unique, "; declare the unique");
  }

  bool is_unique(int number) const {
    return number >= 0 && number < static_cast<int>(program_.uniques.size());
  }

  void check_values() const {
    if (program_.forward) {
      const auto& forward = program_.forward->values;
      CAVS_CHECK(program_.values.size() >= forward.size(), ErrorKind::kValue,
                 "[program] expected the forward program's ", forward.size(), " values first, got ",
                 program_.values.size(), " values; begin with the forward program's values");
      for (size_t i = 0; i < forward.size(); ++i) {
        const ValueSpec &mine = program_.values[i], &theirs = forward[i];
        CAVS_CHECK(mine.space == theirs.space && mine.size == theirs.size &&
                       mine.dtype == theirs.dtype && mine.role == theirs.role &&
                       mine.index == theirs.index && mine.base == theirs.base &&
                       mine.column == theirs.column,
                   ErrorKind::kValue, "[program] expected value ", i,
                   " of the backward program to be the forward program's '", theirs.name,
                   "', got '", mine.name, "'; begin with the forward program's values");
      }
    }
    for (const ValueSpec& value : program_.values) check_value(value);
  }

  void check_value(const ValueSpec& value) const {
    const bool rowless = value.space.kind == SpaceKind::kNone;
    const int64_t limit = int64_t{1} << (rowless ? 34 : 28);
    CAVS_CHECK(value.size >= 1 && value.size <= limit, ErrorKind::kValue, "[program] expected 1..",
               limit, " elements in a row of '", value.name, "', got ", value.size,
               "; correct its size");
    check_space(value.space, value.name);
    const bool external =
        value.role == Role::kParam || value.role == Role::kInput || value.role == Role::kOutput;
    CAVS_CHECK(!external || (value.index >= 0 && value.index < kMostArrays), ErrorKind::kValue,
               "[program] expected the number of an array for '", value.name, "', got ",
               value.index, "; number its array");
    CAVS_CHECK(rowless || value.role != Role::kParam, ErrorKind::kValue,
               "[program] expected the space 'none' for parameter '", value.name, "', got '",
               space_name(value.space, program_.uniques), "'; give it that space");
  }

  void check_id(int id, const std::string& where) const {
    CAVS_CHECK(id >= 0 && id < static_cast<int>(program_.values.size()), ErrorKind::kValue,
               "[program] expected a value of 0..", program_.values.size(), " in ", where, ", got ",
               id, "; declare the value");
  }

  void note_saved() {
    CAVS_CHECK(program_.states.size() < kMostStates, ErrorKind::kValue,
               "[program] expected fewer than ", kMostStates, " states, got ",
               program_.states.size(), "; name fewer of them");
    for (const int id : program_.states) {
      check_id(id, "the list of states");
      const ValueSpec& state = program_.values[id];
      CAVS_CHECK(state.dtype == program_.dtype && is_vertex_rows(state.space.kind),
                 ErrorKind::kValue, "[program] expected floating-point rows of vertices as state '",
                 state.name, "', got ", dtype_name(state.dtype), " with rows of '",
                 space_name(state.space, program_.uniques), "'; leave it out");
    }
    for (const int id : program_.saved) check_id(id, "the list of saved values");
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
          for (const int id : *list) check_id(id, where);
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
    check_space(segment.space, "a segment");
    CAVS_CHECK(segment.space.kind != SpaceKind::kUnique ||
                   program_.uniques[static_cast<size_t>(segment.space.unique)].rows == 0,
               ErrorKind::kValue,
               "[program] expected a segment over ids that are counted, got ids that are rows "
               "themselves; correct the segment's space");
    CAVS_CHECK(segment.kind != SegmentKind::kLevels || has_edges(segment.space), ErrorKind::kValue,
               "[program] expected a segment by levels over vertices, got '",
               space_name(segment.space, program_.uniques), "'; use a segment by rows");
    check_follows_levels(segment);
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

  void check_driving_space(const Segment& segment, const Instruction& instruction) const {
    check_space(instruction.space, instruction.kernel->name);
    const bool global = sums_rows(segment.kind);
    const bool rides = has_edges(segment.space) && instruction.space.kind == SpaceKind::kEdge;
    CAVS_CHECK(segment.kind == SegmentKind::kGlobal || rides || instruction.space == segment.space,
               ErrorKind::kValue, "[program] expected '", instruction.kernel->name,
               "' over the rows of its segment ('", space_name(segment.space, program_.uniques),
               "'), got '", space_name(instruction.space, program_.uniques),
               "'; move it to a segment of its rows");
    CAVS_CHECK(global == sums_rows(instruction), ErrorKind::kValue, "[program] expected '",
               instruction.kernel->name, "' in a segment ",
               global ? "by rows or levels, got a global one" : "that is global, got another",
               "; move it");
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
      CAVS_CHECK(table.argument >= 0 && table.argument < kMostSlots, ErrorKind::kValue,
                 "[program] expected a table of '", instruction.kernel->name,
                 "' with an argument of 0..", kMostSlots - 1, ", got ", table.argument,
                 "; correct the table");
      const bool by_unique = table.kind == TableKind::kUnique ||
                             table.kind == TableKind::kUniqueRows ||
                             table.kind == TableKind::kUniqueIds || lists_parents(table.kind);
      CAVS_CHECK(!by_unique || is_unique(table.argument), ErrorKind::kValue,
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

  // The operand is the first of the values that stand side by side in a row.
  void check_parts(const Instruction& instruction, size_t i) const {
    const ValueSpec& value = program_.values[instruction.inputs[i]];
    const Root& root = roots_[instruction.inputs[i]];
    const int64_t columns = std::max(1, instruction.tables[i].argument) * value.size;
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
    const Space expected =
        sums_rows(segment.kind) ? Space{SpaceKind::kNone, -1} : instruction.space;
    CAVS_CHECK(value.space == expected, ErrorKind::kValue, "[program] expected '",
               instruction.kernel->name, "' to write rows of '",
               space_name(expected, program_.uniques), "', got '", value.name, "' with rows of '",
               space_name(value.space, program_.uniques), "'; write a value of that space");
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
    const bool aligned = in.space.kind == SpaceKind::kNone || in.space == instruction.space ||
                         is_part(instruction.space.kind, in.space.kind);
    CAVS_CHECK(
        order && aligned && owner.role == Role::kOutput, ErrorKind::kValue,
        "[program] expected rows of an output that 'store' writes in the user's order, got '",
        owner.name, "' through another table, or from other rows; store without a table");
  }

  void check_input(const Instruction& instruction, size_t input) const {
    const int root = roots_[instruction.inputs[input]].value;
    const ValueSpec& owner = program_.values[root];
    if (owner.role != Role::kArena) return;
    const bool any_row = instruction.tables[input].kind == TableKind::kVertexOrder &&
                         access_of(program_, instruction, input) == Access::kCross;
    CAVS_CHECK(!any_row || owner.space.kind == SpaceKind::kVertex, ErrorKind::kValue,
               "[program] expected rows of all vertices for '", instruction.kernel->name,
               "' to read in the user's order, got '", owner.name, "' with rows of '",
               space_name(owner.space, program_.uniques), "'; read another value");
    CAVS_CHECK(root >= num_forward_ || saved_by_forward_[static_cast<size_t>(root)],
               ErrorKind::kValue, "[program] expected '", owner.name,
               "' among the forward program's saved values, because '", instruction.kernel->name,
               "' of the backward program reads it, got another value; save it");
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
  CAVS_CHECK(program.device == Device::kCpu, ErrorKind::kRuntime,
             "[program] expected device 'cpu', got 'cuda': CUDA support is not built; "
             "use device='cpu'");
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
