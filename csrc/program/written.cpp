// Finds what is written before an instruction reads it.
#include "program/written.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "program/kernels.h"

namespace cavs {
namespace {

// Rows that are written together: of each type, or list of edges, the leaves (an even number) and
// the others.
using Parts = std::set<int>;

Parts rows_of(const Program& program, const Space& space) {
  Parts parts;
  const auto add = [&](int member) {
    if (space.kind != SpaceKind::kInner) parts.insert(2 * member);
    if (space.kind != SpaceKind::kLeaf) parts.insert(2 * member + 1);
  };
  if (space.members < 0) {
    add(0);
  } else {
    for (const int member : program.member_sets[static_cast<size_t>(space.members)]) add(member);
  }
  return parts;
}

Parts both(const Parts& a, const Parts& b) {
  Parts found;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(),
                        std::inserter(found, found.begin()));
  return found;
}

// The rows of an input that an instruction reaches.
Parts rows_read(const Program& program, const Instruction& instruction, size_t input) {
  const TableSpec& table = instruction.tables[input];
  const Space& space = program.values[static_cast<size_t>(instruction.inputs[input])].space;
  const Parts all = rows_of(program, space);
  const auto list = [&] {
    if (program.num_types == 0) return EdgeList{0, 0};
    return program.edge_lists[static_cast<size_t>(edge_list_of(program, table.members))];
  };
  switch (table.kind) {
    case TableKind::kNone:
      return both(all, rows_of(program, instruction.space));
    case TableKind::kParent:
    case TableKind::kParents:
    case TableKind::kParentRows:
    case TableKind::kUniqueParents:
    case TableKind::kUniqueParentRows: {
      // Leaves are nobody's parents.
      if (space.kind == SpaceKind::kEdge) return all;
      return both(all, {2 * list().parents + 1});
    }
    case TableKind::kChild:
    case TableKind::kSlot:
    case TableKind::kChildRows: {
      const int children = list().children;
      return children < 0 ? all : both(all, {2 * children, 2 * children + 1});
    }
    case TableKind::kUniqueRows:
      return both(all, rows_of(program, program.uniques[static_cast<size_t>(table.argument)].base));
    default:
      return all;
  }
}

// Whether the table leads to rows of levels that are done before the row's own.
bool reads_earlier_levels(const Program& program, TableKind kind) {
  if (program.backward) return kind == TableKind::kParents || kind == TableKind::kParentRows;
  return kind == TableKind::kChild || kind == TableKind::kSlot || kind == TableKind::kChildRows;
}

}  // namespace

WrittenValues::WrittenValues(const Program& program, const std::vector<Root>& roots)
    : program_(program), roots_(roots), writes_(program.values.size()) {
  // Several values may be one array of the caller: leaves and inner vertices each write theirs.
  const size_t own = program.forward ? program.forward->values.size() : 0;
  std::map<std::pair<bool, int>, int> arrays;
  for (size_t id = 0; id < program.values.size(); ++id) {
    const ValueSpec& value = program.values[id];
    const int number = static_cast<int>(id);
    const bool output = value.role == Role::kOutput;
    owners_.push_back(
        output ? arrays.emplace(std::pair(id >= own, value.index), number).first->second : number);
  }
  for (size_t s = 0; s < program.segments.size(); ++s) {
    const auto& instructions = program.segments[s].instructions;
    for (size_t i = 0; i < instructions.size(); ++i) {
      note_writes(static_cast<int>(s), static_cast<int>(i));
    }
  }
}

void WrittenValues::note_writes(int segment, int number) {
  const Instruction& instruction =
      program_.segments[static_cast<size_t>(segment)].instructions[static_cast<size_t>(number)];
  const bool scattered = instruction.kernel->writes == Writes::kScattered &&
                         !instruction.tables.empty() &&
                         instruction.tables[0].kind != TableKind::kNone;
  for (const int id : instruction.outputs) {
    const Columns written = columns_of(program_, id);
    writes_[static_cast<size_t>(written.owner)].push_back(
        {segment, number, written.begin, written.end, written.rows, scattered});
  }
}

WrittenValues::Columns WrittenValues::columns_of(const Program& program, int id) const {
  const ValueSpec& value = program.values[static_cast<size_t>(id)];
  const Root& root = roots_[static_cast<size_t>(id)];
  return {owners_[static_cast<size_t>(root.value)], root.column, root.column + value.size,
          rows_of(program, value.space)};
}

WrittenValues::Columns WrittenValues::columns_read(const Program& reader,
                                                   const Instruction& instruction,
                                                   size_t input) const {
  Columns read = columns_of(reader, instruction.inputs[input]);
  read.rows = rows_read(reader, instruction, input);
  read.end = read.begin + cavs::columns_read(reader, instruction, input);
  return read;
}

template <class Counts>
bool WrittenValues::covered(const Columns& read, const Counts& counts) const {
  for (const int part : read.rows) {
    std::vector<std::pair<int64_t, int64_t>> columns;
    for (const Write& write : writes_[static_cast<size_t>(read.owner)]) {
      if (write.rows.count(part) > 0 && counts(write)) columns.emplace_back(write.begin, write.end);
    }
    std::sort(columns.begin(), columns.end());
    int64_t done = read.begin;
    for (const auto& [begin, end] : columns) {
      if (begin <= done) done = std::max(done, end);
    }
    if (done < read.end) return false;
  }
  return true;
}

bool WrittenValues::before(int segment, int number, size_t input) const {
  const Segment& own = program_.segments[static_cast<size_t>(segment)];
  const Instruction& instruction = own.instructions[static_cast<size_t>(number)];
  const bool cross = access_of(program_, instruction, input) == Access::kCross;
  // Another row of the segments that take turns is done only where it belongs to an earlier level.
  // Sums by level run right after the rows of their level.
  const bool earlier =
      by_levels(own.kind) && reads_earlier_levels(program_, instruction.tables[input].kind);
  const SegmentRange turns = taking_turns(program_, static_cast<size_t>(segment));
  return covered(columns_read(program_, instruction, input), [&](const Write& write) {
    const auto written = static_cast<size_t>(write.segment);
    if (!turns.has(written)) return written < turns.first;
    if (cross) return earlier;
    if (write.segment != segment) {
      return own.kind == SegmentKind::kSums && write.segment == segment - 1;
    }
    return !sums_rows(own.kind) && !write.scattered && write.instruction < number;
  });
}

bool WrittenValues::covers(const Program& reader, const Instruction& instruction,
                           size_t input) const {
  return covered(columns_read(reader, instruction, input), [](const Write&) { return true; });
}

bool WrittenValues::whole(int id) const {
  return covered(columns_of(program_, id), [](const Write&) { return true; });
}

}  // namespace cavs
