// Keeps the options that programs take over when they are made.
#include "cpu/options.h"

#include <cmath>
#include <mutex>

#include "base/error.h"

namespace cavs {
namespace {

std::mutex options_mutex;
ExecutionOptions current_options;

constexpr int64_t kMostChunkRows = 1 << 24;

}  // namespace

ExecutionOptions execution_options() {
  std::lock_guard<std::mutex> lock(options_mutex);
  return current_options;
}

void set_execution_options(const ExecutionOptions& options) {
  CAVS_CHECK(
      options.chunk_rows >= 1 && options.chunk_rows <= kMostChunkRows && options.chunk_bytes >= 0,
      ErrorKind::kValue, "[runtime] expected chunks of 1..", kMostChunkRows,
      " rows and 0 or more bytes, got ", options.chunk_rows, " and ", options.chunk_bytes,
      "; choose chunks within that");
  for (const double ns : {options.min_parallel_ns, options.min_team_ns, options.min_split_ns}) {
    CAVS_CHECK(!std::isnan(ns), ErrorKind::kValue,
               "[runtime] expected numbers of nanoseconds, got nan; give numbers");
  }
  std::lock_guard<std::mutex> lock(options_mutex);
  current_options = options;
}

}  // namespace cavs
