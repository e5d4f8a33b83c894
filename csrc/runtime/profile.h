// How a run spends its time, in nanoseconds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program/kernels.h"

namespace cavs {

// One instruction: the sums over all chunks, levels and threads.
struct CallProfile {
  int64_t calls = 0, rows = 0, ns = 0;

  void add(const CallProfile& more) {
    calls += more.calls;
    rows += more.rows;
    ns += more.ns;
  }
};

// One call of a kernel, or a weight's panels that one thread made.
struct ProfileEvent {
  int64_t thread = 0;
  int64_t call = -1;   // [instruction], segment by segment; -1: packing
  int64_t level = -1;  // -1 where its segment does not go level by level
  int64_t start = 0;   // since the sweep began to walk
  int64_t ns = 0;
  int64_t rows = 0;
  int64_t parts = 1;  // of a call whose columns or sums several threads share
};

struct ProfileEvents {
  static constexpr size_t kMost = size_t{1} << 19;  // that are kept

  std::vector<ProfileEvent> events;
  int64_t events_left_out = 0;

  void keep(const ProfileEvent& event) {
    if (events.size() < kMost) {
      events.push_back(event);
    } else {
      ++events_left_out;
    }
  }
};

// Where the time of one sweep of a run went. Events are those of all threads, by thread, in order
// of their start.
struct SweepProfile : ProfileEvents {
  struct Thread {
    int64_t kernels = 0, packing = 0;
    int64_t waiting = 0;  // for parts that others have begun, or for work
    int64_t walking = 0;  // between the kernels
  };

  bool backward = false;
  int64_t ids = 0;   // tables of distinct ids
  int64_t plan = 0;  // checks of arrays, offsets in memory
  int64_t bind = 0;  // growth of memory, addresses of operands
  int64_t walk = 0;  // all segments and levels
  std::vector<Thread> threads;
  std::vector<CallProfile> calls;  // [instruction], segment by segment
};

struct ProfileRecord {
  bool backward = false;
  int segment = 0;
  int instruction = 0;
  std::string kernel;
  RowCost row;
  CallProfile sum;
};

}  // namespace cavs
