// The distinct ids of an integer input, or tuples of ids of several, and which rows carry which.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "graph/schedule.h"

namespace cavs {

// Tables over some of `base` rows, with `rows` distinct ids or tuples. They lie in the run's arena.
struct UniqueTable {
  int64_t base = 0;
  int64_t rows = 0;
  int32_t* index = nullptr;  // [base] row -> distinct row, for the rows it was built for
  int32_t* list = nullptr;   // [base] rows by distinct row, ascending within each
  // [rows] ascending; -1 ("no input") counts as an id and comes first. Between tuples and the ids
  // that they are made of, of each tuple, [base]; of tuples themselves nothing.
  int32_t* ids = nullptr;
  int32_t* ptr = nullptr;  // [rows + 1] distinct row -> its part of `list`
};

// Room for the tables of `base` rows, however many ids are distinct.
int64_t unique_table_bytes(int64_t base);

// Tables at `memory`, of which `rows` distinct ids are known already (0 before they are built).
UniqueTable unique_table_at(std::byte* memory, int64_t base, int64_t rows);

// Fills the table for rows first..last - 1 and sets its number of rows. `ids` has one id per row in
// the user's order; row r is the user's row order[r] (r itself where order is null). Throws
// Error(kValue) on an id below -1.
void build_unique(const std::string& name, const int32_t* ids, const int32_t* order, int64_t first,
                  int64_t last, UniqueTable* table);

// The same for tuples: `ids` has an array for each of their parts. Tuples are numbered as they
// come.
void build_unique_tuples(const std::string& name, const std::vector<const int32_t*>& ids,
                         const int32_t* order, int64_t first, int64_t last, UniqueTable* table);

// Fills `index`, from distinct tuples to the distinct `parts` that are in them, both built over the
// same rows; `ids`, where the parts are single ids, which `given` has as above; and with `lists`
// `list` and `ptr`.
void list_tuples(const UniqueTable& tuples, const UniqueTable& parts, const int32_t* given,
                 const int32_t* order, bool lists, UniqueTable* table);

// CSR from the distinct rows of vertices to the edges in which these are children, by row and then
// by edge.
struct UniqueParents {
  int32_t* ptr = nullptr;     // [rows + 1]
  int32_t* edge = nullptr;    // edge rows
  int32_t* parent = nullptr;  // and of each the vertex row of the parent
};

// Room for the lists of `rows` distinct rows, which are children in `edges` edges.
int64_t unique_parents_bytes(int64_t rows, int64_t edges);
UniqueParents unique_parents_at(std::byte* memory, int64_t rows, int64_t edges);

// Fills the lists; `table` is over vertices.
void list_parents(const UniqueTable& table, const Schedule& schedule, UniqueParents* parents);

// Fills `index` alone: rows stand for themselves, id i for row i and -1 for the last of `rows`.
// Throws Error(kValue) on other ids.
void number_by_id(const std::string& name, const int32_t* ids, const int32_t* order, int64_t first,
                  int64_t last, int64_t rows, UniqueTable* table);

}  // namespace cavs
