// Numbers distinct ids: by one bit for each possible id, by sorting or by hashing.
#include "runtime/unique.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "memory/allocator.h"

namespace cavs {
namespace {

// Up to this id the bits and ranks are small enough for any batch.
constexpr int64_t kAlwaysDense = 1 << 22;

// Kept between batches; each thread that starts runs has its own.
struct Workspace {
  std::vector<uint64_t> bits;   // bit id + 1: the id occurs
  std::vector<int32_t> rank;    // [id + 1] distinct row, valid where the bit is set
  std::vector<int32_t> sorted;  // distinct ids where they are too far apart for bits
  std::vector<int32_t> slots;   // of a hash table: tuples by the hash of their ids, -1 where free
  std::vector<int32_t> firsts;  // [tuple] the first row that has it
};

Workspace& workspace() {
  thread_local Workspace space;
  return space;
}

int64_t array_bytes(int64_t count) {
  return align_up(count * static_cast<int64_t>(sizeof(int32_t)));
}

int32_t check_range(const std::string& name, const GivenIds& given) {
  const int32_t* const ids = given.ids;
  const int64_t count = given.count;
  int32_t least = 0, greatest = -1;
  for (int64_t i = 0; i < count; ++i) {
    least = std::min(least, ids[i]);
    greatest = std::max(greatest, ids[i]);
  }
  if (least < -1) {
    const int64_t at = std::find_if(ids, ids + count, [](int32_t id) { return id < -1; }) - ids;
    fail(ErrorKind::kValue, "[runtime] expected ids of 0 or more, or -1 for no input, in '", name,
         "', got ", ids[at], " at position ", at, "; correct the input");
  }
  return greatest;
}

// The ids of some rows.
struct Ids {
  const GivenIds& given;
  int64_t first, last;

  int32_t operator[](int64_t r) const { return given.of(r); }
};

// A bit per possible id: ascending order for the price of a scan over the bits.
void number_by_bits(const Ids& ids, int32_t greatest, UniqueTable* table, Workspace& space) {
  const int64_t span = int64_t{greatest} + 2;
  space.bits.assign(static_cast<size_t>((span + 63) / 64), 0);
  if (static_cast<int64_t>(space.rank.size()) < span) space.rank.resize(static_cast<size_t>(span));
  uint64_t* bits = space.bits.data();
  for (int64_t r = ids.first; r < ids.last; ++r) {
    const auto bit = static_cast<uint32_t>(ids[r] + 1);
    bits[bit >> 6] |= uint64_t{1} << (bit & 63);
  }
  int32_t rows = 0;
  for (size_t word = 0; word < space.bits.size(); ++word) {
    for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
      const int32_t bit = static_cast<int32_t>(word * 64) + __builtin_ctzll(left);
      space.rank[static_cast<size_t>(bit)] = rows;
      table->ids[rows++] = bit - 1;
    }
  }
  table->rows = rows;
}

void number_by_sorting(const Ids& ids, UniqueTable* table, Workspace& space) {
  space.sorted.clear();
  for (int64_t r = ids.first; r < ids.last; ++r) space.sorted.push_back(ids[r]);
  std::sort(space.sorted.begin(), space.sorted.end());
  space.sorted.erase(std::unique(space.sorted.begin(), space.sorted.end()), space.sorted.end());
  std::copy(space.sorted.begin(), space.sorted.end(), table->ids);
  table->rows = static_cast<int64_t>(space.sorted.size());
}

// Fills the lists of rows from the index.
void list_rows(int64_t first, int64_t last, UniqueTable* table) {
  // ptr[u + 2] counts, becomes the running start of row u + 1 below, and ends as ptr[u + 1].
  int32_t* ptr = table->ptr;
  std::fill(ptr, ptr + table->rows + 2, 0);
  for (int64_t r = first; r < last; ++r) ++ptr[table->index[r] + 2];
  for (int64_t u = 0; u < table->rows; ++u) ptr[u + 2] += ptr[u + 1];
  for (int64_t r = first; r < last; ++r) {
    table->list[ptr[table->index[r] + 1]++] = static_cast<int32_t>(r);
  }
}

// Tuples of ids of some rows, numbered as they come.
class TupleNumbers {
 public:
  TupleNumbers(const std::vector<GivenIds>& ids, int64_t count, Workspace& space)
      : ids_(ids), space_(space) {
    size_t size = 16;
    while (size < 2 * static_cast<size_t>(count)) size *= 2;
    space_.slots.assign(size, -1);
    space_.firsts.clear();
  }

  int64_t count() const { return static_cast<int64_t>(space_.firsts.size()); }

  int32_t number(int64_t row) {
    const size_t mask = space_.slots.size() - 1;
    for (size_t slot = hash(row) & mask;; slot = (slot + 1) & mask) {
      int32_t& tuple = space_.slots[slot];
      if (tuple < 0) {
        tuple = static_cast<int32_t>(count());
        space_.firsts.push_back(static_cast<int32_t>(row));
        return tuple;
      }
      if (equal(row, space_.firsts[static_cast<size_t>(tuple)])) return tuple;
    }
  }

 private:
  bool equal(int64_t a, int64_t b) const {
    return std::all_of(ids_.begin(), ids_.end(),
                       [&](const GivenIds& ids) { return ids.of(a) == ids.of(b); });
  }

  size_t hash(int64_t row) const {
    uint64_t bits = 0;
    for (const GivenIds& ids : ids_) {
      bits = (bits ^ static_cast<uint32_t>(ids.of(row))) * 0x9E3779B97F4A7C15u;
      bits ^= bits >> 32;
    }
    return static_cast<size_t>(bits);
  }

  const std::vector<GivenIds>& ids_;
  Workspace& space_;
};

}  // namespace

int64_t unique_table_bytes(int64_t base) { return 3 * array_bytes(base) + array_bytes(base + 2); }

UniqueTable unique_table_at(std::byte* memory, int64_t base, int64_t rows) {
  const auto part = [&](int i) {
    return reinterpret_cast<int32_t*>(memory + i * array_bytes(base));
  };
  return {base, rows, part(0), part(1), part(2), part(3)};
}

void build_unique(const std::string& name, const GivenIds& given, int64_t first, int64_t last,
                  UniqueTable* table) {
  const Ids ids{given, first, last};
  Workspace& space = workspace();
  const int32_t greatest = check_range(name, given);
  const bool dense = greatest < std::max(kAlwaysDense, 64 * table->base);
  if (dense) {
    number_by_bits(ids, greatest, table, space);
  } else {
    number_by_sorting(ids, table, space);
  }

  for (int64_t r = first; r < last; ++r) {
    const int32_t id = ids[r];
    table->index[r] =
        dense ? space.rank[static_cast<size_t>(id + 1)]
              : static_cast<int32_t>(std::lower_bound(table->ids, table->ids + table->rows, id) -
                                     table->ids);
  }
  list_rows(first, last, table);
}

void build_unique_tuples(const std::string& name, const std::vector<GivenIds>& ids, int64_t first,
                         int64_t last, UniqueTable* table) {
  for (const GivenIds& part : ids) check_range(name, part);
  TupleNumbers numbers(ids, last - first, workspace());
  for (int64_t r = first; r < last; ++r) table->index[r] = numbers.number(r);
  table->rows = numbers.count();
  list_rows(first, last, table);
}

void list_tuples(const UniqueTable& tuples, const UniqueTable& parts, const GivenIds* given,
                 bool lists, UniqueTable* table) {
  for (int64_t t = 0; t < tuples.rows; ++t) {
    const int32_t row = tuples.list[tuples.ptr[t]];
    table->index[t] = parts.index[row];
    if (given != nullptr) table->ids[t] = given->of(row);
  }
  table->rows = parts.rows;
  if (lists) list_rows(0, tuples.rows, table);
}

int64_t unique_parents_bytes(int64_t rows, int64_t edges) {
  return array_bytes(rows + 1) + 2 * array_bytes(edges);
}

UniqueParents unique_parents_at(std::byte* memory, int64_t rows, int64_t edges) {
  std::byte* edge = memory + array_bytes(rows + 1);
  std::byte* parent = edge + array_bytes(edges);
  return {reinterpret_cast<int32_t*>(memory), reinterpret_cast<int32_t*>(edge),
          reinterpret_cast<int32_t*>(parent)};
}

void list_parents(const UniqueTable& table, const Schedule& schedule, int list,
                  UniqueParents* parents) {
  const OutEdges& out = schedule.out_edges(list);
  const std::vector<int32_t>& parent = schedule.parent_of_edges(list);
  int32_t count = 0;
  for (int64_t u = 0; u < table.rows; ++u) {
    parents->ptr[u] = count;
    for (int32_t i = table.ptr[u]; i < table.ptr[u + 1]; ++i) {
      const int32_t row = table.list[i];
      for (int32_t e = out.ptr[row]; e < out.ptr[row + 1]; ++e, ++count) {
        parents->edge[count] = out.edge[e];
        parents->parent[count] = parent[out.edge[e]];
      }
    }
  }
  parents->ptr[table.rows] = count;
}

void number_by_id(const std::string& name, const GivenIds& given, int64_t first, int64_t last,
                  int64_t rows, UniqueTable* table) {
  const Ids ids{given, first, last};
  const int32_t greatest = check_range(name, given);
  CAVS_CHECK(greatest < rows - 1, ErrorKind::kValue, "[runtime] expected ids below ", rows - 1,
             " in '", name, "', got ", greatest, "; correct the input");
  for (int64_t r = first; r < last; ++r) {
    table->index[r] = ids[r] < 0 ? static_cast<int32_t>(rows - 1) : ids[r];
  }
  table->rows = rows;
}

}  // namespace cavs
