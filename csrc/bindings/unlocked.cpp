#include "bindings/unlocked.h"

#include <unistd.h>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace cavs {
namespace {

void take_lock_again(PyThreadState* state) {
#if defined(__GLIBCXX__) && PY_VERSION_HEX < 0x030E0000
  try {
    PyEval_RestoreThread(state);
  } catch (const abi::__forced_unwind&) {
    while (true) pause();
  }
#else
  PyEval_RestoreThread(state);
#endif
}

}  // namespace

Unlocked::~Unlocked() {
  call_.reset();  // first: fork() waits for calls with the lock held
  take_lock_again(state_);
}

void wait_for_calls_at_exit() {
  // Python calls these when no thread of its own runs any more.
  if (Py_AtExit(&wait_for_native_calls) != 0) {
    throw pybind11::import_error(
        "[cavs] expected a free place among Python's 32 exit functions, got none; "
        "import cavs before what takes them");
  }
}

}  // namespace cavs
