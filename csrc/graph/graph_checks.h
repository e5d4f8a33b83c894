// Checks that all ways to make a batch share.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/error.h"

namespace cavs {

inline constexpr int64_t kMaxRows = std::numeric_limits<int32_t>::max() - 1;

// "graph 3, " for error messages. A graph alone has no number that the user would know it by.
inline std::string graph_name(int64_t num_graphs, int64_t graph, const char* separator) {
  return num_graphs == 1 ? "" : "graph " + std::to_string(graph) + separator;
}

inline void check_total(int64_t count, const char* what) {
  CAVS_CHECK(count <= kMaxRows, ErrorKind::kGraph, "[graph] expected at most ", kMaxRows, " ", what,
             " in a batch, got ", count, "; make batches of fewer graphs");
}

inline void check_length(size_t length, int64_t expected, const char* name, const char* why) {
  CAVS_CHECK(static_cast<int64_t>(length) == expected, ErrorKind::kGraph, "[graph] expected ",
             expected, " elements in ", name, " (", why, "), got ", length, "; check the arrays");
}

inline void check_start(const std::vector<int64_t>& offsets, const char* name) {
  CAVS_CHECK(!offsets.empty() && offsets[0] == 0, ErrorKind::kGraph, "[graph] expected ", name,
             " to start with 0, got ", offsets.empty() ? "nothing" : std::to_string(offsets[0]),
             "; give the offset of each and the total at the end");
}

inline void check_graph_offsets(const std::vector<int64_t>& ptr) {
  check_start(ptr, "ptr");
  for (size_t g = 0; g + 1 < ptr.size(); ++g) {
    CAVS_CHECK(ptr[g + 1] >= ptr[g], ErrorKind::kGraph, "[graph] graph ", g,
               ": expected ptr not to decrease, got ", ptr[g + 1], " after ", ptr[g],
               "; check the offsets");
  }
}

}  // namespace cavs
