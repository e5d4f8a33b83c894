// What of a batch is left to run, and what of it is ready.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "graph/batching.h"
#include "graph/child_runs.h"

namespace cavs {

// Of the vertices that run batch by batch. The batch and the types must outlive it.
class Frontier {
 public:
  // `heights`: whether the facts of the lower bound are kept. Error(kGraph) on a cycle.
  Frontier(const GraphBatch& batch, const TypeOrder& order, const std::vector<int32_t>& types,
           bool heights);

  bool done() const;
  // [type] the vertices whose children have run, in no order.
  const std::vector<std::vector<int32_t>>& ready() const { return ready_; }
  // [vertex]
  const std::vector<int32_t>& depths() const { return depth_; }
  bool runs(int64_t v) const { return runs_[static_cast<size_t>(v)] != 0; }
  // Of the vertices of the type that are left.
  double average_depth(size_t type) const {
    return static_cast<double>(depth_left_[type]) / static_cast<double>(left_[type]);
  }
  // The lower bound is the longest chain of each type, added up. Of the longest chains of the type
  // that are left, the share that begin in the frontier: where it is 1, a batch lowers the bound.
  double share_of_longest(size_t type) const {
    const auto top = static_cast<size_t>(top_[type]);
    return static_cast<double>(ready_at_[type][top]) / static_cast<double>(at_[type][top]);
  }
  int64_t bound() const;

  // Runs all ready vertices of the type, and adds them to `ran` in no order.
  void run(size_t type, std::vector<int32_t>* ran);

 private:
  void open(int32_t v);
  void count_vertex(int32_t v, int32_t depth);
  void look_down(const GraphBatch& batch, const std::vector<int32_t>& children_first);
  void look_down_runs();
  void list_parents(const GraphBatch& batch);
  void find_heights(const GraphBatch& batch, const std::vector<int32_t>& children_first);
  void find_heights_of_runs();
  void count_height(int32_t v);

  const std::vector<int32_t>& types_;
  const size_t kinds_;
  std::vector<char> runs_;              // [vertex] whether it runs batch by batch
  std::vector<int32_t> waiting_;        // [vertex] edges to children that have not run
  std::vector<int32_t> out_ptr_, out_;  // CSR: [vertex] parents that run, one for each edge
  // Of a batch with runs, in the place of the three above.
  std::shared_ptr<const RunPlaces> places_;
  std::optional<RunWatch> watch_;
  std::vector<int32_t> depth_;
  std::vector<std::vector<int32_t>> ready_;  // [type]
  std::vector<int64_t> left_, depth_left_;   // [type]
  // Of the bound: the most vertices of its own type on a path from a vertex upwards, itself too.
  std::vector<int32_t> height_;
  std::vector<std::vector<int32_t>> at_, ready_at_;  // [type][height] vertices left, and ready
  std::vector<int32_t> top_;                         // [type] greatest height left
};

// The choice of `agenda`: the type whose vertices have the least average depth.
size_t choose_by_agenda(const Frontier& frontier);

}  // namespace cavs
