// Child lists that are runs: batches and schedules equal those of the same lists written out.
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "graph/batching.h"
#include "graph/graph_batch.h"
#include "graph/schedule.h"
#include "graph/type_names.h"

namespace {

using cavs::ChildRead;
using cavs::Error;
using cavs::GraphBatch;
using cavs::make_schedule;
using cavs::Policy;
using cavs::Schedule;
using cavs::TypeOrder;
using Rows = std::vector<int32_t>;

std::mt19937 generator(1);

int between(int least, int most) {
  return std::uniform_int_distribution<int>(least, most)(generator);
}

GraphBatch written_out(const GraphBatch& batch) {
  std::vector<int64_t> children;
  for (int64_t g = 0; g < batch.num_graphs(); ++g) {
    for (int32_t e = batch.edge_ptr[g]; e < batch.edge_ptr[g + 1]; ++e) {
      children.push_back(batch.children()[e] - batch.ptr[g]);
    }
  }
  GraphBatch lists =
      cavs::make_graph_batch({batch.ptr.begin(), batch.ptr.end()},
                             {batch.child_ptr.begin(), batch.child_ptr.end()}, children);
  lists.types = batch.types;
  return lists;
}

// A chain, or any windows before their vertices; or the reverse of that, where it has runs.
GraphBatch random_graph() {
  const int count = between(1, 10);
  if (between(0, 2) == 0) {
    const int memory = between(0, count);
    return cavs::causal_chain(count - memory, between(-1, 5), memory);
  }
  std::vector<int64_t> first, counts;
  for (int v = 0; v < count; ++v) {
    const int end = between(0, v), begin = between(0, end);
    first.push_back(begin);
    counts.push_back(end - begin);
  }
  GraphBatch graph = cavs::make_run_batch({0, count}, first, counts);
  GraphBatch turned = cavs::reverse(graph);
  CHECK(cavs::same_graphs(turned, cavs::reverse(written_out(graph))));
  return turned.has_runs() && between(0, 1) == 0 ? turned : graph;
}

GraphBatch random_batch(int num_types) {
  std::vector<GraphBatch> graphs;
  std::vector<const GraphBatch*> parts;
  for (int i = between(1, 4); i > 0; --i) {
    graphs.push_back(random_graph());
    GraphBatch& graph = graphs.back();
    for (int64_t v = 0; v < graph.num_vertices(); ++v) {
      graph.types.push_back(cavs::numbered_type(between(0, num_types - 1)));
    }
  }
  for (const GraphBatch& graph : graphs) parts.push_back(&graph);
  return cavs::concatenate(parts);
}

TypeOrder random_order(int num_types) {
  TypeOrder order;
  for (int type = 0; type < num_types; ++type) {
    order.names.push_back("t" + std::to_string(type));
    order.given.push_back(type);
    order.batched.push_back(between(0, 4) > 0);
    order.apart.push_back(between(0, 1) > 0);
  }
  for (int i = between(0, 5); i > 0; --i) {
    order.lists.push_back({between(0, num_types - 1), between(-1, num_types - 1)});
  }
  return order;
}

void check_list(const Schedule& runs, const Schedule& lists, int list) {
  const auto number = static_cast<size_t>(list);
  CHECK(runs.edges[number].ptr == lists.edges[number].ptr);
  CHECK(runs.edges[number].max_arity == lists.edges[number].max_arity);
  CHECK(runs.edges[number].num_slots == lists.edges[number].num_slots);
  for (int k = 0; k < 4; ++k) CHECK(runs.slot(k, list) == lists.slot(k, list));
  for (int k = -1; k < 3; ++k) {
    CHECK(runs.types_of_children(list, k) == lists.types_of_children(list, k));
  }
  CHECK(runs.runs(list).first == lists.runs(list).first);
  CHECK(*runs.runs(list).order == *lists.runs(list).order);
  CHECK(*runs.runs(list).graph_ptr == *lists.runs(list).graph_ptr);
  CHECK(runs.runs(list).whole == lists.runs(list).whole);
  CHECK(runs.child_of_edges(list) == lists.child_of_edges(list));
  CHECK(runs.order_of_edges(list) == lists.order_of_edges(list));
  CHECK(runs.local_of_edges(list) == lists.local_of_edges(list));
  CHECK(runs.parents(0, list).row == lists.parents(0, list).row);
}

void check_schedule(const Schedule& runs, const Schedule& lists) {
  CHECK(runs.has_runs() && !lists.has_runs());
  CHECK(runs.vertex_order == lists.vertex_order && runs.num_leaves == lists.num_leaves);
  CHECK(runs.level_ptr == lists.level_ptr && runs.level_edge_ptr == lists.level_edge_ptr);
  CHECK(runs.step_ptr == lists.step_ptr && runs.batches.size() == lists.batches.size());
  for (size_t i = 0; i < lists.batches.size(); ++i) {
    CHECK(runs.batches[i].type == lists.batches[i].type);
    CHECK(runs.batches[i].begin == lists.batches[i].begin);
    CHECK(runs.batches[i].end == lists.batches[i].end);
  }
  CHECK(runs.edges.size() == lists.edges.size());
  for (size_t list = 0; list < lists.edges.size(); ++list) {
    check_list(runs, lists, static_cast<int>(list));
  }
}

void check_reads(const GraphBatch& runs, const GraphBatch& lists, const TypeOrder& order) {
  const int num_types = static_cast<int>(order.count());
  std::vector<ChildRead> reads;
  for (int i = between(0, 4); i > 0; --i) {
    ChildRead read;
    read.edges = {between(0, num_types - 1), between(-1, num_types - 1)};
    read.slot = between(-1, 1);
    for (int type = 0; type < num_types; ++type) read.types.push_back(between(0, 4) > 0);
    reads.push_back(read);
  }
  const Rows types = cavs::types_of(lists, order);
  for (const bool extra : {false, true}) {
    const auto found = cavs::find_unreadable(runs, types, order.count(), reads, extra);
    const auto expected = cavs::find_unreadable(lists, types, order.count(), reads, extra);
    CHECK(found.has_value() == expected.has_value());
    if (!found) continue;
    CHECK(found->vertex == expected->vertex && found->edge == expected->edge);
    CHECK(found->read == expected->read);
  }
}

void test_random_graphs() {
  for (int trial = 0; trial < 2000; ++trial) {
    const int num_types = between(1, 4);
    const GraphBatch runs = random_batch(num_types), lists = written_out(runs);
    CHECK(runs.has_runs() && !lists.has_runs());
    CHECK(cavs::same_graphs(runs, lists) && cavs::same_graphs(lists, runs));
    CHECK(cavs::same_graphs(cavs::reverse(runs), cavs::reverse(lists)));
    CHECK(cavs::vertex_levels(runs) == cavs::vertex_levels(lists));
    for (const Policy policy : {Policy::kDepth, Policy::kSerial}) {
      check_schedule(make_schedule(runs, policy), make_schedule(lists, policy));
    }
    const TypeOrder order = random_order(num_types);
    for (const Policy policy : {Policy::kDepth, Policy::kSerial, Policy::kAgenda, Policy::kBound}) {
      check_schedule(make_schedule(runs, policy, order), make_schedule(lists, policy, order));
    }
    check_reads(runs, lists, order);
  }
}

void test_as_many_edges_as_there_are_numbers() {
  const GraphBatch chain = cavs::causal_chain(65536, -1, 0);
  CHECK(chain.num_edges() == 65536LL * 65535 / 2);
  const Schedule schedule = make_schedule(chain, Policy::kDepth);
  CHECK(schedule.num_batches() == 65536 && schedule.runs().first.back() == 0);
  CHECK(cavs::reverse(chain).has_runs());
  CHECK_THROWS(cavs::causal_chain(65537, -1, 0), Error, "at most 2147483646 edges");
  CHECK_THROWS(cavs::concatenate({&chain, &chain}), Error, "at most 2147483646 edges");
  CHECK_THROWS(cavs::make_run_batch({0, 1, 2}, {0, 0}, {0, 1}), Error,
               "graph 1, vertex 0: expected all children before it or behind it");
}

void test_edges_from_many_threads() {
  const GraphBatch chain = cavs::causal_chain(100, 7, 3);
  const Schedule schedule = make_schedule(chain, Policy::kDepth);
  std::vector<std::vector<const Rows*>> seen(4);
  std::vector<std::thread> threads;
  for (auto& mine : seen) {
    threads.emplace_back([&] {
      mine = {&chain.children(), &schedule.child_of_edges(), &schedule.order_of_edges(),
              &schedule.runs().first};
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : seen) CHECK(mine == seen[0]);
  const GraphBatch copy = chain;
  CHECK(&copy.children() == seen[0][0]);  // a copy shares what was written out
}

}  // namespace

int main() {
  test_random_graphs();
  test_as_many_edges_as_there_are_numbers();
  test_edges_from_many_threads();
  return cavs_test::result();
}
