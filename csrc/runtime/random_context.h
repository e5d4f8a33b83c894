// The keys by which a run draws random numbers.
#pragma once

#include <cstdint>
#include <vector>

namespace cavs {

// Keys of the counter-based generator: samples depend on (seed, step, op, graph, vertex) alone.
struct RandomContext {
  uint64_t seed = 0;
  uint64_t step = 0;
  bool training = true;
  const int64_t* graph_key = nullptr;     // [graph] key that travels with the graph
  const int32_t* vertex_graph = nullptr;  // [vertex row] graph
  const int32_t* vertex_local = nullptr;  // [vertex row] index of the vertex within its graph
  struct Edges {
    const int32_t* graph = nullptr;  // [edge row] graph
    const int32_t* local = nullptr;  // [edge row] index of the edge within its graph
  };
  std::vector<Edges> edges;  // [list of edges]; one list where vertices have no types
};

}  // namespace cavs
