// Threads that wait for work as long as the process lives.
#pragma once

#include <functional>

namespace cavs {

// Runs leader() on the caller, and helper(thread) on those of `count` - 1 others that come before
// it is done. Rethrows what one of them threw. Calls do not nest (Error(kRuntime)); those of
// several threads take turns. Safe after fork().
void run_on_workers(int count, const std::function<void()>& leader,
                    const std::function<void(int)>& helper);

}  // namespace cavs
