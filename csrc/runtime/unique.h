// The distinct ids of an integer input, or the distinct tuples of ids of several inputs, and the
// rows that carry each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/schedule.h"

namespace cavs {

// Tables over some of `base` rows, with `rows` distinct ids or tuples. They lie in the run's arena.
struct UniqueTable {
  int64_t base = 0;
  int64_t rows = 0;
  int32_t* index = nullptr;  // [base] the distinct row of each row that the table was built for
  int32_t* list = nullptr;   // [base] rows by distinct row, ascending within each
  // [rows] ascending; -1 ("no input") counts as an id and comes first. A table from tuples to the
  // ids in them has the id of each tuple here, [base]. A table of tuples themselves has nothing
  // here.
  int32_t* ids = nullptr;
  int32_t* ptr = nullptr;  // [rows + 1] where the part of `list` for each distinct row begins
};

// Room for the tables of `base` rows, however many ids are distinct.
int64_t unique_table_bytes(int64_t base);

// Tables at `memory`, in which `rows` distinct ids are known already (0 before the tables are
// built).
UniqueTable unique_table_at(std::byte* memory, int64_t base, int64_t rows);

// An array of ids in the user's order, which has one for each of some rows.
struct GivenIds {
  const int32_t* ids = nullptr;
  int64_t count = 0;
  const int32_t* order = nullptr;  // [row] place of its id; null where that is the row itself

  int32_t of(int64_t row) const { return ids[order != nullptr ? order[row] : row]; }
};

// Fills the table for rows first..last - 1 and sets its number of rows. Throws Error(kValue) on an
// id below -1.
void build_unique(const std::string& name, const GivenIds& ids, int64_t first, int64_t last,
                  UniqueTable* table);

// The same for tuples: `ids` has an array for each of their parts. Tuples are numbered as they
// come.
void build_unique_tuples(const std::string& name, const std::vector<GivenIds>& ids, int64_t first,
                         int64_t last, UniqueTable* table);

// `tuples` and `parts` are built over the same rows. Fills `index` with the distinct part that is
// in each distinct tuple. Where the parts are single ids, which `given` has, fills `ids` too; with
// `lists`, also `list` and `ptr`.
void list_tuples(const UniqueTable& tuples, const UniqueTable& parts, const GivenIds* given,
                 bool lists, UniqueTable* table);

// The parents, by a list of edges, of the rows of a unique.
struct ParentList {
  int unique = 0, edges = 0;
};
inline bool operator<(const ParentList& a, const ParentList& b) {
  return a.unique != b.unique ? a.unique < b.unique : a.edges < b.edges;
}

// CSR lists for the distinct rows of vertices: the edges in which their vertices are children, by
// row and then by edge.
struct UniqueParents {
  int32_t* ptr = nullptr;     // [rows + 1]
  int32_t* edge = nullptr;    // edge rows
  int32_t* parent = nullptr;  // vertex row of the parent in each edge
};

// Room for the lists of `rows` distinct rows, which are children in `edges` edges.
int64_t unique_parents_bytes(int64_t rows, int64_t edges);
UniqueParents unique_parents_at(std::byte* memory, int64_t rows, int64_t edges);

// Fills the lists; `table` is over vertices.
void list_parents(const UniqueTable& table, const Schedule& schedule, int list,
                  UniqueParents* parents);

using ParentTables = std::map<ParentList, UniqueParents>;

// Fills only `index`: id i stands for row i, and -1 for the last of `rows`. Throws Error(kValue) on
// other ids.
void number_by_id(const std::string& name, const GivenIds& ids, int64_t first, int64_t last,
                  int64_t rows, UniqueTable* table);

}  // namespace cavs
