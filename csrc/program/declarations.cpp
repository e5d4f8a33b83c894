// Checks what a program declares: distinct ids, values, states and saved values.
#include "program/declarations.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "program/text.h"

namespace cavs {
namespace {

// An array has rows for leaves and inner vertices alike.
SpaceKind as_given(SpaceKind kind) { return is_vertex_rows(kind) ? SpaceKind::kVertex : kind; }

constexpr int kMostArrays = 1 << 20;  // in each of the caller's lists
constexpr int64_t kMostRows = 0x7fffffff;
constexpr int kMostTypes = 1 << 16;
constexpr size_t kMostStates = 1 << 16;  // see FirstNan

void check_members(const Program& program) {
  for (const EdgeList& list : program.edge_lists) {
    const auto is_type = [&](int type) { return type >= 0 && type < program.num_types; };
    CAVS_CHECK(is_type(list.parents) && (list.children == -1 || is_type(list.children)),
               ErrorKind::kValue, "[program] expected types of 0..", program.num_types,
               " in lists of edges, got ", list.parents, " and ", list.children,
               "; declare the types");
  }
  for (const Members& set : program.member_sets) {
    const bool sorted =
        std::adjacent_find(set.begin(), set.end(), std::greater_equal<int>()) == set.end();
    CAVS_CHECK(!set.empty() && set.front() >= 0 && sorted, ErrorKind::kValue,
               "[program] expected distinct ascending numbers as members, got ", set.size(),
               " others; sort them");
  }
  CAVS_CHECK(program.num_types >= 0 && program.num_types <= kMostTypes, ErrorKind::kValue,
             "[program] expected 0..", kMostTypes, " types, got ", program.num_types,
             "; declare fewer");
  if (!program.forward) return;
  const Program& forward = *program.forward;
  const bool begins = forward.member_sets.size() <= program.member_sets.size() &&
                      std::equal(forward.member_sets.begin(), forward.member_sets.end(),
                                 program.member_sets.begin());
  CAVS_CHECK(
      program.num_types == forward.num_types && program.edge_lists == forward.edge_lists && begins,
      ErrorKind::kValue,
      "[program] expected the forward program's types, lists of edges and, first, members, got "
      "others; give both programs the same ones");
}

void check_counted(const Program& program, const UniqueSpec& unique) {
  const bool tuples = unique.inputs.size() > 1;
  CAVS_CHECK(!unique.inputs.empty() && (!tuples || unique.rows == 0), ErrorKind::kValue,
             "[program] expected one input, or tuples of inputs that are counted, in unique '",
             unique.name, "', got ", unique.inputs.size(), " inputs; correct its inputs");
  CAVS_CHECK(unique.members.size() == unique.inputs.size(), ErrorKind::kValue,
             "[program] expected members for each input of unique '", unique.name, "', got ",
             unique.members.size(), "; give as many");
  const SpaceKind kind = unique.base.kind;
  CAVS_CHECK(is_vertex_rows(kind) || kind == SpaceKind::kEdge || kind == SpaceKind::kGraph,
             ErrorKind::kValue, "[program] expected unique '", unique.name,
             "' over vertices, edges or graphs, got another space; correct its space");
  check_single(program, unique.base, unique.name);
  for (const int members : unique.members) {
    check_space(program, {as_given(kind), -1, members}, unique.name);
    CAVS_CHECK(has_members(program, members, unique.base.members), ErrorKind::kValue,
               "[program] expected ids of all rows of unique '", unique.name,
               "', got ids of others; correct the members of its inputs");
  }
}

// The ids and the tuples must be counted earlier, and among the same rows.
void check_ids_of_tuples(const Program& program, const UniqueSpec& unique) {
  const auto counted = [&](int number) {
    const auto end = &unique - program.uniques.data();
    return number >= 0 && number < end && program.uniques[number].of < 0;
  };
  const int tuples = unique.base.kind == SpaceKind::kUnique ? unique.base.unique : -1;
  CAVS_CHECK(counted(unique.of) && counted(tuples), ErrorKind::kValue,
             "[program] expected ids and tuples that are counted before in unique '", unique.name,
             "', got numbers ", unique.of, " and ", tuples, "; declare those first");
  const UniqueSpec &ids = program.uniques[unique.of], &whole = program.uniques[tuples];
  const bool part = std::all_of(ids.inputs.begin(), ids.inputs.end(), [&](int input) {
    return std::count(whole.inputs.begin(), whole.inputs.end(), input) > 0;
  });
  CAVS_CHECK(part && ids.base == whole.base && ids.rows == unique.rows && unique.inputs.empty(),
             ErrorKind::kValue, "[program] expected '", ids.name, "' to be part of '", whole.name,
             "' among the same rows, and no inputs of its own, got others; correct its ids");
}

void check_uniques(const Program& program) {
  for (const UniqueSpec& unique : program.uniques) {
    CAVS_CHECK(unique.rows >= 0 && unique.rows <= kMostRows, ErrorKind::kValue,
               "[program] expected unique '", unique.name, "' to have 0..", kMostRows,
               " rows, got ", unique.rows, "; correct the unique");
    for (const int input : unique.inputs) {
      CAVS_CHECK(input >= 0 && input < kMostArrays, ErrorKind::kValue,
                 "[program] expected the ids of unique '", unique.name, "' to be an input of 0..",
                 kMostArrays - 1, ", got number ", input, "; number an input");
    }
    if (unique.of >= 0) {
      check_ids_of_tuples(program, unique);
    } else {
      check_counted(program, unique);
    }
  }
  if (!program.forward) return;
  const auto& forward = program.forward->uniques;
  CAVS_CHECK(program.uniques.size() == forward.size(), ErrorKind::kValue, "[program] expected the ",
             forward.size(), " uniques of the forward program, got ", program.uniques.size(),
             "; give both programs the same ones");
  for (size_t i = 0; i < forward.size(); ++i) {
    const UniqueSpec& mine = program.uniques[i];
    CAVS_CHECK(mine.name == forward[i].name && mine.inputs == forward[i].inputs &&
                   mine.base == forward[i].base && mine.rows == forward[i].rows &&
                   mine.of == forward[i].of && mine.members == forward[i].members,
               ErrorKind::kValue, "[program] expected the forward program's unique '",
               forward[i].name, "', got '", mine.name,
               "', or one of that name that differs; give both programs the same ones");
  }
}

void check_value(const Program& program, const ValueSpec& value) {
  const bool rowless = value.space.kind == SpaceKind::kNone;
  const int64_t limit = int64_t{1} << (rowless ? 34 : 28);
  CAVS_CHECK(value.size >= 1 && value.size <= limit, ErrorKind::kValue, "[program] expected 1..",
             limit, " elements in a row of '", value.name, "', got ", value.size,
             "; correct its size");
  check_space(program, value.space, value.name);
  if (value.role == Role::kArena && value.space.kind == SpaceKind::kEdge) {
    check_single(program, value.space, value.name);
  }
  const bool external =
      value.role == Role::kParam || value.role == Role::kInput || value.role == Role::kOutput;
  CAVS_CHECK(!external || (value.index >= 0 && value.index < kMostArrays), ErrorKind::kValue,
             "[program] expected the number of an array for '", value.name, "', got ", value.index,
             "; number its array");
  CAVS_CHECK(rowless || value.role != Role::kParam, ErrorKind::kValue,
             "[program] expected the space 'none' for parameter '", value.name, "', got '",
             space_name(value.space, program.uniques), "'; give it that space");
}

void check_values(const Program& program) {
  if (program.forward) {
    const auto& forward = program.forward->values;
    CAVS_CHECK(program.values.size() >= forward.size(), ErrorKind::kValue,
               "[program] expected the forward program's ", forward.size(), " values first, got ",
               program.values.size(), " values; begin with the forward program's values");
    for (size_t i = 0; i < forward.size(); ++i) {
      const ValueSpec &mine = program.values[i], &theirs = forward[i];
      CAVS_CHECK(mine.space == theirs.space && mine.size == theirs.size &&
                     mine.dtype == theirs.dtype && mine.role == theirs.role &&
                     mine.index == theirs.index && mine.base == theirs.base &&
                     mine.column == theirs.column,
                 ErrorKind::kValue, "[program] expected value ", i,
                 " of the backward program to be the forward program's '", theirs.name, "', got '",
                 mine.name, "'; begin with the forward program's values");
    }
  }
  for (const ValueSpec& value : program.values) check_value(program, value);
}

void check_lists(const Program& program) {
  CAVS_CHECK(program.states.size() < kMostStates, ErrorKind::kValue,
             "[program] expected fewer than ", kMostStates, " states, got ", program.states.size(),
             "; name fewer of them");
  for (const int id : program.states) {
    check_id(program, id, "the list of states");
    const ValueSpec& state = program.values[id];
    CAVS_CHECK(state.dtype == program.dtype && is_vertex_rows(state.space.kind), ErrorKind::kValue,
               "[program] expected floating-point rows of vertices as state '", state.name,
               "', got ", dtype_name(state.dtype), " with rows of '",
               space_name(state.space, program.uniques), "'; leave it out");
  }
  for (const int id : program.saved) check_id(program, id, "the list of saved values");
}

}  // namespace

bool is_unique(const Program& program, int number) {
  return number >= 0 && number < static_cast<int>(program.uniques.size());
}

void check_single(const Program& program, const Space& space, const std::string& name) {
  check_space(program, space, name);
  CAVS_CHECK(
      space.members < 0 || program.member_sets[static_cast<size_t>(space.members)].size() == 1,
      ErrorKind::kValue, "[program] expected rows of one type, or of one list of edges, for '",
      name, "', got several; name one");
}

void check_members_of(const Program& program, bool edges, int members, const std::string& name) {
  const bool typed = program.num_types > 0;
  const bool known = typed ? members >= 0 && members < static_cast<int>(program.member_sets.size())
                           : members == -1;
  CAVS_CHECK(known, ErrorKind::kValue, "[program] expected ",
             typed ? "a set of members of the program" : "no members where there are no types",
             " for '", name, "', got number ", members, "; correct its members");
  if (!typed) return;
  const auto count = edges ? static_cast<int>(program.edge_lists.size()) : program.num_types;
  const int last = program.member_sets[static_cast<size_t>(members)].back();
  CAVS_CHECK(last < count, ErrorKind::kValue, "[program] expected members below ", count, " for '",
             name, "', got ", last, "; declare the types, and lists of edges");
}

void check_space(const Program& program, const Space& space, const std::string& name) {
  const bool edges = space.kind == SpaceKind::kEdge;
  if (edges || is_vertex_rows(space.kind)) {
    check_members_of(program, edges, space.members, name);
    const bool part = space.kind == SpaceKind::kLeaf || space.kind == SpaceKind::kInner;
    CAVS_CHECK(!part || space.members < 0 ||
                   program.member_sets[static_cast<size_t>(space.members)].size() == 1,
               ErrorKind::kValue, "[program] expected leaves or inner vertices of one type for '",
               name, "', got those of several; name one");
  } else {
    CAVS_CHECK(space.members == -1, ErrorKind::kValue,
               "[program] expected members of vertices and edges alone for '", name,
               "', got others; leave them out");
  }
  CAVS_CHECK(space.kind != SpaceKind::kUnique ||
                 (is_unique(program, space.unique) && program.uniques[space.unique].of < 0),
             ErrorKind::kValue, "[program] expected a unique of the program as the space of '",
             name, "', got number ", space.unique, "; declare the unique");
}

void check_id(const Program& program, int id, const std::string& where) {
  CAVS_CHECK(id >= 0 && id < static_cast<int>(program.values.size()), ErrorKind::kValue,
             "[program] expected a value of 0..", program.values.size(), " in ", where, ", got ",
             id, "; declare the value");
}

void check_declarations(const Program& program) {
  check_members(program);
  check_uniques(program);
  check_values(program);
  check_lists(program);
}

}  // namespace cavs
