// The lowered vertex function: a linear list of instructions in segments, over numbered values.
// Written by cavs/core/program.py; knows no graph instance.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/device.h"
#include "base/dtype.h"
#include "group/group.h"
#include "program/attributes.h"

namespace cavs {

enum class SpaceKind : uint8_t { kNone, kVertex, kLeaf, kInner, kEdge, kGraph, kUnique };

// The rows of a value: none (a parameter or constant has one "row"), vertices, edges, graphs, or
// the distinct ids of an integer input. Leaves are the vertices without children; inner vertices
// are the others. Both are parts of the vertex rows with the same numbers, and leaves come first.
// In a program of types vertices are those of some types, and edges those of some lists of edges.
struct Space {
  SpaceKind kind = SpaceKind::kNone;
  int unique = -1;   // index into Program::uniques
  int members = -1;  // index into Program::member_sets: the types of vertices, the lists of edges
};

inline bool operator==(const Space& a, const Space& b) {
  return a.kind == b.kind && a.members == b.members &&
         (a.kind != SpaceKind::kUnique || a.unique == b.unique);
}
inline bool operator!=(const Space& a, const Space& b) { return !(a == b); }

inline bool is_vertex_rows(SpaceKind kind) {
  return kind == SpaceKind::kVertex || kind == SpaceKind::kLeaf || kind == SpaceKind::kInner;
}

// Whether a segment over these rows takes the edges of its vertices along.
inline bool has_edges(const Space& space) {
  return space.kind == SpaceKind::kVertex || space.kind == SpaceKind::kInner;
}

// Types or lists of edges, by their numbers, ascending.
using Members = std::vector<int>;

// Edges from vertices of one type to their children of one type, or of any (-1).
struct EdgeList {
  int parents = 0, children = -1;
};
inline bool operator==(const EdgeList& a, const EdgeList& b) {
  return a.parents == b.parents && a.children == b.children;
}

enum class Role : uint8_t {
  kArena,   // memory of the run; local to a chunk of rows where one segment holds its whole life
  kParam,   // external, parameter number `index`
  kInput,   // external, in the user's order, input number `index`, rows dense
  kOutput,  // external, output number `index`, rows dense
  kState,   // external, state number `index` that the caller holds from run to run, rows dense: the
            // run's own rows first, then those of vertices that its vertices gather from
  kView,    // columns [column, column + size) of value `base`
};

struct ValueSpec {
  std::string name;
  Space space;
  int64_t size = 1;  // elements of a row
  DType dtype = DType::kFloat32;
  Role role = Role::kArena;
  int index = -1;
  int base = -1;
  int64_t column = 0;
};

// Which table an operand (or the instruction) goes through; resolved against the schedule of a run.
// With `a -> b`, each row of a names one row of b; with `CSR a -> b`, any number of rows.
enum class TableKind : uint8_t {
  kNone,
  kChild,       // edge -> vertex row of the child
  kSlot,        // vertex -> vertex row of child `argument`, -1 where missing; below 0 of the last
                // child (-1), the one before it (-2), ...
  kParent,      // edge -> vertex row of the parent. Of slots_to_edges with an `argument` below 0
                // slots are counted from the last child on
  kChildren,    // CSR vertex -> its edge rows
  kChildRows,   // CSR vertex -> vertex rows of its children
  kParents,     // CSR vertex -> edge rows in which it is the child
  kParentRows,  // CSR vertex -> vertex rows of its parents. With an `argument` n > 0, only
                // parents that have it among their first n children. Each parent's row then
                // holds n values side by side, and the vertex reads the one for its slot. With
                // n < 0 the last -n children, from the last one on
  kGraph,       // vertex -> graph
  kGraphVertices,  // CSR graph -> vertex rows
  kVertexOrder,    // vertex -> user's vertex
  kEdgeOrder,      // edge -> user's edge
  kSiblings,       // edge -> the edge rows of its parent: adjacent rows of one number in `index`
  kUnique,         // row of the unique's base space -> its distinct row; `argument`: the unique
  kUniqueRows,     // CSR distinct row -> rows of the base space; `argument`: the unique
  kUniqueIds,  // distinct row, or tuple that the id is part of -> the id (in `index`); `argument`:
               // the unique
  // CSR distinct row of vertices -> edge rows in which its vertices are children; `argument`: the
  // unique
  kUniqueParents,
  kUniqueParentRows,  // the same, but the vertex row of the parent in each of these edges
};

struct TableSpec {
  TableKind kind = TableKind::kNone;
  int argument = 0;
  // In a program of types, an index into Program::member_sets: the list of edges that leads to
  // children or parents, the types of the vertices of a graph, or what an array of the user's order
  // has rows for.
  int members = -1;
};

using Attributes =
    std::variant<NoAttributes, MatmulAttributes, MaskedMatmulAttributes, AxisAttributes,
                 ScanAttributes, OrderAttributes, PickAttributes, PoolAttributes,
                 EmbeddingAttributes, ColumnsAttributes, ShapeAttributes, PermuteAttributes,
                 UniformAttributes, DropoutAttributes, LoadAttributes, FillAttributes, Group,
                 ConvolutionAttributes, AttentionAttributes>;

struct Kernel;
using KernelId = const Kernel*;  // its row in kernels.cpp

struct Instruction {
  KernelId kernel = nullptr;
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::vector<TableSpec> tables;  // one per input
  Attributes attributes;
  Space space;  // driving space: row_begin..row_end are its rows
};

// The attributes of a product of matrices; null for any other instruction.
const MatmulAttributes* product_of(const Attributes& attributes);
inline const MatmulAttributes* product_of(const Instruction& instruction) {
  return product_of(instruction.attributes);
}
// The attributes of an operation that draws random numbers; null for any other.
const UniformAttributes* sampled_of(const Attributes& attributes);
// The elementwise group of an instruction, or null.
inline const Group* group_of(const Instruction& instruction) {
  return std::get_if<Group>(&instruction.attributes);
}

enum class SegmentKind : uint8_t {
  kRows,    // every instruction works row by row over `space` (over vertices, edge instructions run
            // along: each thread takes the edges of its vertices)
  kLevels,  // the same, level by level
  kGlobal,  // instructions that sum over rows; each splits its own output over the threads
  kSums,    // instructions that sum over the rows of each level of the segment before, after that
            // level; they go on from the values in their outputs
};

// Whether its instructions sum over rows.
inline bool sums_rows(SegmentKind kind) {
  return kind == SegmentKind::kGlobal || kind == SegmentKind::kSums;
}

// Whether it runs level by level.
inline bool by_levels(SegmentKind kind) {
  return kind == SegmentKind::kLevels || kind == SegmentKind::kSums;
}

// Between segments all threads meet. Within one, a thread runs all instructions on a chunk of its
// rows and never reads a row that another thread writes in it.
struct Segment {
  SegmentKind kind = SegmentKind::kRows;
  Space space;
  std::vector<Instruction> instructions;
};

// Distinct ids, or distinct tuples of ids, and which rows have them.
struct UniqueSpec {
  std::string name;         // for people to read
  std::vector<int> inputs;  // which input holds the ids; of tuples, which inputs
  Space base;               // rows that have the ids: vertices, edges or graphs; or distinct tuples
  int64_t rows = 0;  // not 0: ids are not counted; row i is id i, and the last row is "no input"
  int of = -1;  // not -1: nothing is counted here. The number of the unique whose ids are parts of
                // the tuples `base`; both are counted among the same rows
  std::vector<int> members = {};  // of each input: what its array has rows for, as in Space
};

// The rows of the distinct ids that a table leads to.
inline Space distinct_rows(const std::vector<UniqueSpec>& uniques, int unique) {
  const int of = uniques[static_cast<size_t>(unique)].of;
  return {SpaceKind::kUnique, of < 0 ? unique : of};
}

struct Program {
  DType dtype = DType::kFloat32;
  Device device;
  bool streams = true;    // whether segments may run at the same time, where a device can
  bool backward = false;  // levels run from the last to the first
  int num_types = 0;      // 0: vertices have no types
  std::vector<EdgeList> edge_lists;  // of a program of types
  std::vector<Members> member_sets;  // that its spaces and tables name
  std::vector<ValueSpec> values;     // a backward program's first values are all those of `forward`
  std::vector<Segment> segments;
  std::vector<UniqueSpec> uniques;
  std::vector<int> saved;                  // values that the backward programs read
  std::vector<int> states;                 // of a forward program: values that parents may gather
  std::shared_ptr<const Program> forward;  // of a backward program
};

// Whether rows `part` are some of the rows `whole`, or all.
bool is_part(const Program& program, const Space& part, const Space& whole);

// Whether both have the same members, or the members of `part` are some of those of `whole`.
bool has_members(const Program& program, int whole, int part);

// The type of rows of one type; 0 in a program without types.
inline int type_of(const Program& program, const Space& space) {
  return space.members < 0 ? 0 : program.member_sets[static_cast<size_t>(space.members)][0];
}

// The list of edges of rows or tables of one list; 0 in a program without types.
inline int edge_list_of(const Program& program, int members) {
  return members < 0 ? 0 : program.member_sets[static_cast<size_t>(members)][0];
}

// Segments first..last - 1.
struct SegmentRange {
  size_t first = 0, last = 0;
  bool has(size_t segment) const { return first <= segment && segment < last; }
};

// The segments by levels that take turns with this one, batch by batch: those of all types, one
// after the other, each with the sums over its rows. The segment itself where it runs at once.
SegmentRange taking_turns(const Program& program, size_t segment);

// Whether the segment after this one sums over the rows of its levels.
inline bool sums_follow(const Program& program, size_t segment) {
  const size_t next = segment + 1;
  return next < program.segments.size() && program.segments[next].kind == SegmentKind::kSums;
}

}  // namespace cavs
