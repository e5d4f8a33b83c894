// Tables of distinct ids and tuples, and of the parents of their rows, against ordered maps.
#include "runtime/unique.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "check.h"
#include "tree_program.h"

using namespace cavs;
using namespace cavs_test;

namespace {

void test_unique_tables() {
  std::mt19937 random(3);
  for (const int32_t greatest : {1, 60, 100000, 2147483647}) {
    const int64_t count = 500;
    std::vector<int32_t> ids, order;
    for (int64_t i = 0; i < count; ++i) {
      ids.push_back(i % 7 == 0 ? -1 : static_cast<int32_t>(random() % greatest));
      order.push_back(static_cast<int32_t>(i));
    }
    ids[3] = greatest;
    std::shuffle(order.begin(), order.end(), random);
    const int64_t first = random() % 100, last = count - random() % 100;
    std::map<int32_t, std::vector<int32_t>> want;
    for (int64_t r = first; r < last; ++r) {
      want[ids[order[r]]].push_back(static_cast<int32_t>(r));
    }
    std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(count)));
    UniqueTable table = unique_table_at(memory.data(), count, 0);
    build_unique("ids", {ids.data(), count, order.data()}, first, last, &table);
    CHECK(table.rows == static_cast<int64_t>(want.size()));
    int64_t u = 0;
    for (const auto& [id, rows] : want) {
      CHECK(table.ids[u] == id && table.ptr[u + 1] - table.ptr[u] == static_cast<int>(rows.size()));
      CHECK(std::equal(rows.begin(), rows.end(), table.list + table.ptr[u]));
      for (const int32_t r : rows) CHECK(table.index[r] == u);
      ++u;
    }
  }
}

void test_tuples() {
  std::mt19937 random(5);
  for (const int parts : {2, 3}) {
    const int64_t count = 400, first = 20, last = 390;
    std::vector<int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<std::vector<int32_t>> ids(static_cast<size_t>(parts));
    std::vector<GivenIds> given;
    for (auto& part : ids) {
      for (int64_t i = 0; i < count; ++i) part.push_back(static_cast<int32_t>(random() % 5) - 1);
      given.push_back({part.data(), count, order.data()});
    }
    std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(count)));
    UniqueTable tuples = unique_table_at(memory.data(), count, 0);
    build_unique_tuples("ids", given, first, last, &tuples);
    std::map<std::vector<int32_t>, std::vector<int32_t>> want;
    for (int64_t r = first; r < last; ++r) {
      std::vector<int32_t> tuple;
      for (const auto& part : ids) tuple.push_back(part[order[r]]);
      want[tuple].push_back(static_cast<int32_t>(r));
    }
    CHECK(tuples.rows == static_cast<int64_t>(want.size()));
    for (const auto& [tuple, rows] : want) {
      const int32_t u = tuples.index[rows[0]];
      CHECK(tuples.ptr[u + 1] - tuples.ptr[u] == static_cast<int>(rows.size()));
      CHECK(std::equal(rows.begin(), rows.end(), tuples.list + tuples.ptr[u]));
    }
    std::vector<std::byte> more(static_cast<size_t>(2 * unique_table_bytes(count)));
    UniqueTable part = unique_table_at(more.data(), count, 0);
    UniqueTable among = unique_table_at(more.data() + unique_table_bytes(count), count, 0);
    build_unique("ids", given[1], first, last, &part);
    list_tuples(tuples, part, &given[1], true, &among);
    CHECK(among.rows == part.rows && among.ptr[among.rows] == tuples.rows);
    for (const auto& [tuple, rows] : want) {
      const int32_t u = tuples.index[rows[0]];
      CHECK(among.ids[u] == tuple[1] && part.ids[among.index[u]] == tuple[1]);
    }
    for (int64_t u = 0; u < among.rows; ++u) {
      for (int32_t i = among.ptr[u]; i < among.ptr[u + 1]; ++i) {
        CHECK(among.index[among.list[i]] == u);
      }
    }
  }
  UniqueTable none = unique_table_at(nullptr, 0, 0);
  std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(0)));
  none = unique_table_at(memory.data(), 0, 0);
  build_unique_tuples("ids", {GivenIds(), GivenIds()}, 0, 0, &none);
  CHECK(none.rows == 0);
}

void test_lists_of_parents() {
  std::mt19937 random(11);
  const GraphBatch batch = random_batch(20, 30, random);
  const Schedule schedule = make_schedule(batch, Policy::kDepth);
  std::vector<int32_t> words;
  for (int64_t v = 0; v < batch.num_vertices(); ++v) {
    words.push_back(static_cast<int32_t>(random() % kWords) - 1);
  }
  std::vector<std::byte> memory(static_cast<size_t>(unique_table_bytes(schedule.num_vertices)));
  UniqueTable table = unique_table_at(memory.data(), schedule.num_vertices, 0);
  const GivenIds given = {words.data(), schedule.num_vertices, schedule.vertex_order.data()};
  build_unique("word", given, 0, schedule.num_leaves, &table);
  std::map<int32_t, std::vector<int32_t>> want;  // by row of the unique
  for (int64_t r = 0; r < schedule.num_leaves; ++r) {
    std::vector<int32_t>& edges = want[table.index[r]];
    for (int64_t e = 0; e < schedule.num_edges; ++e) {
      if (schedule.all_edges().child[e] == r) edges.push_back(static_cast<int32_t>(e));
    }
  }
  const int64_t edges = schedule.out_edges().ptr[schedule.num_leaves];
  std::vector<std::byte> lists(static_cast<size_t>(unique_parents_bytes(table.rows, edges)));
  UniqueParents parents = unique_parents_at(lists.data(), table.rows, edges);
  list_parents(table, schedule, 0, &parents);
  CHECK(parents.ptr[0] == 0 && parents.ptr[table.rows] == edges);
  for (const auto& [u, list] : want) {
    CHECK(std::equal(list.begin(), list.end(), parents.edge + parents.ptr[u],
                     parents.edge + parents.ptr[u + 1]));
    for (int32_t i = parents.ptr[u]; i < parents.ptr[u + 1]; ++i) {
      CHECK(parents.parent[i] == schedule.parent_of_edges()[parents.edge[i]]);
    }
  }
}

}  // namespace

int main() {
  test_lists_of_parents();
  test_unique_tables();
  test_tuples();
  return cavs_test::result();
}
