// Threads that wait for work as long as the process lives.
#pragma once

#include <functional>

namespace cavs {

// Runs leader() on the caller, and helper(thread) on each of `count` - 1 other threads that comes
// before the leader is done. Rethrows one of their exceptions. Calls do not nest (Error(kRuntime));
// calls of several threads take turns. Safe after fork().
void run_on_workers(int count, const std::function<void()>& leader,
                    const std::function<void(int)>& helper);

}  // namespace cavs
