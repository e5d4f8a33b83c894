// Batches and schedules, without Python: what sanitizers should see, and what only C++ can ask.
#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "graph/graph_batch.h"
#include "graph/schedule.h"

namespace {

using cavs::EdgeRows;
using cavs::Error;
using cavs::GraphBatch;
using cavs::make_schedule;
using cavs::ParentRows;
using cavs::Policy;
using cavs::Schedule;
using Rows = std::vector<int32_t>;

// Graph 0: 1 above 0. Graph 1: none. Graph 2: 0 above 1, 2 and 1 again.
GraphBatch small_batch() {
  return cavs::make_graph_batch({0, 2, 2, 5}, {0, 0, 1, 4, 4, 4}, {0, 1, 2, 1});
}

void test_batch() {
  const GraphBatch batch = small_batch();
  CHECK(batch.num_graphs() == 3 && batch.num_vertices() == 5 && batch.num_edges() == 4);
  CHECK(batch.edge_ptr == Rows({0, 1, 1, 4}));
  CHECK(batch.children() == Rows({0, 3, 4, 3}));

  const GraphBatch twice = cavs::concatenate({&batch, &batch});
  CHECK(twice.ptr == Rows({0, 2, 2, 5, 7, 7, 10}));
  CHECK(twice.edge_ptr == Rows({0, 1, 1, 4, 5, 5, 8}));
  CHECK(twice.children() == Rows({0, 3, 4, 3, 5, 8, 9, 8}));

  const GraphBatch turned = cavs::reverse(batch);
  CHECK(turned.child_ptr == Rows({0, 1, 1, 1, 3, 4}));
  CHECK(turned.children() == Rows({1, 2, 2, 2}));
}

void test_ways_to_make_a_graph() {
  const GraphBatch graph = cavs::graph_from_parents({2, 2, -1});
  CHECK(graph.child_ptr == Rows({0, 0, 0, 2}) && graph.children() == Rows({0, 1}));
  const GraphBatch edges = cavs::graph_from_edges(3, {1, 1, 0}, {2, 0, 2});
  CHECK(edges.child_ptr == Rows({0, 1, 1, 3}) && edges.children() == Rows({1, 1, 0}));
}

void test_holes() {
  // Vertex 2 has a right child alone; vertex 3 a hole between two; a hole at an end says nothing.
  const GraphBatch holed =
      cavs::make_graph_batch({0, 4}, {0, 1, 2, 4, 8}, {-1, -1, -1, 0, 1, -1, 2, -1});
  CHECK(holed.child_ptr == Rows({0, 0, 0, 1, 3}) && holed.children() == Rows({0, 1, 2}));
  CHECK(holed.edge_ptr == Rows({0, 3}) && holed.slots == Rows({1, 0, 2}));
  CHECK(cavs::make_graph_batch({0, 2}, {0, 0, 2}, {0, -1}).slots.empty());
  const GraphBatch plain = cavs::make_graph_batch({0, 2}, {0, 0, 1}, {0});
  const GraphBatch both = cavs::concatenate({&plain, &holed});
  CHECK(both.slots == Rows({0, 1, 0, 2}) && cavs::reverse(both).slots.empty());
  CHECK(cavs::concatenate({&plain, &plain}).slots.empty());
  const Schedule schedule = make_schedule(holed, Policy::kDepth);
  const EdgeRows& edges = schedule.all_edges();
  CHECK(edges.max_arity == 2 && edges.num_slots == 3 && schedule.num_leaves == 2);
  CHECK(schedule.slot(0) == Rows({-1, -1, -1, 1}) && schedule.slot(1) == Rows({-1, -1, 0, -1}));
  CHECK(schedule.slot(2) == Rows({-1, -1, -1, 2}));
  CHECK(schedule.parents(2).row == Rows({2, 3}) && schedule.parents(2).slot == Rows({1, 0}));
  CHECK(schedule.parents(3).row == Rows({2, 3, 3}));
  // From the last child on, holes are not counted.
  CHECK(schedule.slot(-1) == Rows({-1, -1, 0, 2}) && schedule.slot(-2) == Rows({-1, -1, -1, 1}));
  CHECK(schedule.last_slot_of_edges() == Rows({0, 1, 0}));
  CHECK(schedule.parents(-1).row == Rows({2, 3}) && schedule.parents(-1).slot == Rows({0, 0}));
  CHECK(schedule.parents(-2).row == Rows({2, 3, 3}));
  CHECK(schedule.parents(-2).slot == Rows({0, 1, 0}));
}

void test_schedule() {
  const Schedule schedule = make_schedule(small_batch(), Policy::kDepth);
  const EdgeRows& edges = schedule.all_edges();
  const cavs::OutEdges& out = schedule.out_edges();
  CHECK(schedule.num_batches() == 2 && edges.max_arity == 3);
  CHECK(schedule.level_ptr == Rows({0, 3, 5}));
  CHECK(schedule.level_edge_ptr == Rows({0, 0, 4}));
  CHECK(schedule.vertex_order == Rows({0, 3, 4, 1, 2}));
  CHECK(schedule.vertex_row == Rows({0, 3, 4, 1, 2}));
  CHECK(edges.child == Rows({0, 1, 2, 1}));
  CHECK(schedule.parent_of_edges() == Rows({3, 4, 4, 4}));
  CHECK(schedule.slot_of_edges() == Rows({0, 0, 1, 2}));
  CHECK(edges.ptr == Rows({0, 0, 0, 0, 1, 4}));
  CHECK(out.ptr == Rows({0, 1, 3, 4, 4, 4}));
  CHECK(out.edge == Rows({0, 1, 3, 2}));
  CHECK(schedule.graph_of_vertices() == Rows({0, 2, 2, 0, 2}));
  CHECK(schedule.local_of_vertices() == Rows({0, 1, 2, 1, 0}));
  CHECK(schedule.graph_of_edges() == Rows({0, 2, 2, 2}));
  CHECK(schedule.local_of_edges() == Rows({0, 0, 1, 2}));
  CHECK(schedule.graph_ptr == Rows({0, 2, 2, 5}));
  CHECK(schedule.graph_vertex == Rows({0, 3, 4, 1, 2}));
  CHECK(schedule.slot(0) == Rows({-1, -1, -1, 0, 1}));
  CHECK(schedule.slot(2) == Rows({-1, -1, -1, -1, 1}));
  CHECK(schedule.slot(7) == Rows({-1, -1, -1, -1, -1}));
  for (const int slots : {0, 1, 2, 7}) {
    const ParentRows& parents = schedule.parents(slots);
    Rows ptr = {0}, row, slot;
    for (size_t v = 0; v + 1 < out.ptr.size(); ++v) {
      for (int32_t i = out.ptr[v]; i < out.ptr[v + 1]; ++i) {
        const int32_t edge = out.edge[i];
        if (slots > 0 && schedule.slot_of_edges()[edge] >= slots) continue;
        row.push_back(schedule.parent_of_edges()[edge]);
        if (slots > 0) slot.push_back(schedule.slot_of_edges()[edge]);
      }
      ptr.push_back(static_cast<int32_t>(row.size()));
    }
    CHECK(parents.ptr == ptr && parents.row == row && parents.slot == slot);
    CHECK(&schedule.parents(slots) == &parents);
  }

  const Schedule serial = make_schedule(small_batch(), Policy::kSerial);
  CHECK(serial.vertex_order == Rows({0, 1, 3, 4, 2}));
  CHECK(serial.level_ptr == Rows({0, 1, 2, 3, 4, 5}));
}

void test_nothing() {
  for (const GraphBatch& batch : {GraphBatch(), cavs::make_graph_batch({0, 0, 0}, {0}, {})}) {
    for (const Policy policy : {Policy::kDepth, Policy::kSerial}) {
      const Schedule schedule = make_schedule(batch, policy);
      CHECK(schedule.num_batches() == 0 && schedule.num_vertices == 0);
      CHECK(schedule.slot(0).empty());
    }
    CHECK(cavs::reverse(batch).num_graphs() == batch.num_graphs());
  }
  CHECK(cavs::concatenate({}).num_graphs() == 0);
}

// Random graphs under random numbers, so that the general way to the levels is taken.
void test_random_graphs() {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const int64_t count = 1 + random() % 60;
    std::vector<int64_t> order(count), children, parents;
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    for (int64_t i = 1; i < count; ++i) {
      for (uint32_t k = random() % 4; k > 0; --k) {
        children.push_back(order[random() % i]);
        parents.push_back(order[i]);
      }
    }
    const GraphBatch graph = cavs::graph_from_edges(count, children, parents);
    const GraphBatch batch = cavs::concatenate({&graph, &graph});
    const Rows levels = cavs::vertex_levels(batch);
    for (const Policy policy : {Policy::kDepth, Policy::kSerial}) {
      const Schedule schedule = make_schedule(batch, policy);
      const EdgeRows& edges = schedule.all_edges();
      for (int64_t row = 0; row < schedule.num_vertices; ++row) {
        CHECK(schedule.vertex_row[schedule.vertex_order[row]] == row);
        int32_t level = 0;
        for (int32_t e = edges.ptr[row]; e < edges.ptr[row + 1]; ++e) {
          CHECK(edges.child[e] < row);
          level = std::max(level, levels[schedule.vertex_order[edges.child[e]]] + 1);
        }
        CHECK(levels[schedule.vertex_order[row]] == level);
      }
    }
  }
}

void test_long_chain() {
  const int64_t count = 200000;
  std::vector<int64_t> parents(count);
  for (int64_t v = 0; v < count; ++v) parents[v] = v + 1 < count ? v + 1 : -1;
  const GraphBatch chain = cavs::graph_from_parents(parents);
  CHECK(make_schedule(chain, Policy::kDepth).num_batches() == count);
  CHECK(make_schedule(cavs::reverse(chain), Policy::kDepth).num_batches() == count);
  parents[count - 1] = 0;
  CHECK_THROWS(cavs::vertex_levels(cavs::graph_from_parents(parents)), Error, "own descendant");
}

void test_errors() {
  CHECK_THROWS(cavs::make_graph_batch({0, 1, 8}, {0, 0, 0, 0, 0, 0, 0, 1, 1}, {9}), Error,
               "graph 1, vertex 5: expected a child in 0..6, got 9");
  CHECK_THROWS(cavs::make_graph_batch({}, {0}, {}), Error, "expected ptr to start with 0");
  CHECK_THROWS(cavs::make_graph_batch({0, INT32_MAX}, {0}, {}), Error, "at most 2147483646");
  CHECK_THROWS(cavs::make_graph_batch({0, 1, 2}, {0, 1, 0}, {0}), Error, "graph 1, vertex 0");
  const GraphBatch cyclic = cavs::make_graph_batch({0, 1, 3}, {0, 0, 1, 2}, {1, 0});
  CHECK_THROWS(make_schedule(cyclic, Policy::kSerial), Error, "graph 1: ");
  CHECK_THROWS(make_schedule(cyclic, Policy::kDepth), Error, "got vertices 0 -> 1 -> 0");
  CHECK_THROWS(cavs::policy_from_name("magic"), Error, "got magic");
}

void test_slots_from_the_end() {
  const Schedule schedule = make_schedule(small_batch(), Policy::kDepth);
  const auto& edges = schedule.edges[0];
  for (size_t row = 0; row + 1 < edges.ptr.size(); ++row) {
    const bool some = edges.ptr[row] < edges.ptr[row + 1];
    CHECK(schedule.slot(-1)[row] == (some ? edges.child[edges.ptr[row + 1] - 1] : -1));
  }
}

void test_slots_from_many_threads() {
  const int count = 64;
  std::vector<int64_t> parents(count + 1, 0);
  parents[0] = -1;
  Schedule made = make_schedule(cavs::graph_from_parents(parents), Policy::kDepth);
  const Schedule schedule = std::move(made);
  std::vector<std::vector<const Rows*>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&schedule, &mine] {
      for (int k = 0; k < count; ++k) mine.push_back(&schedule.slot(k));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : seen) CHECK(mine == seen[0]);
  for (int k = 0; k < count; ++k) CHECK(seen[0][k]->back() == k);
}

}  // namespace

int main() {
  test_batch();
  test_ways_to_make_a_graph();
  test_holes();
  test_schedule();
  test_nothing();
  test_random_graphs();
  test_long_chain();
  test_errors();
  test_slots_from_the_end();
  test_slots_from_many_threads();
  return cavs_test::result();
}
