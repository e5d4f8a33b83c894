// Lets other Python threads run during native calls, also while the interpreter ends.
#include "bindings/unlocked.h"

#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#include "base/denormals.h"
#include "base/thread_pool.h"

namespace cavs {
namespace {

thread_local Unlocked* current = nullptr;

// Python runs signal handlers only in its main thread.
bool is_main_thread() {
#if defined(__linux__)
  return syscall(SYS_gettid) == getpid();
#else
  return true;
#endif
}

}  // namespace

// A part of the call that holds the interpreter's lock. Meanwhile the call does not count as one,
// so that fork(), which waits for calls with the lock held, goes on.
class Unlocked::Locked {
 public:
  explicit Locked(Unlocked* call) : call_(*call) {
    call_.call_.reset();
    PyEval_RestoreThread(call_.state_);
  }
  ~Locked() {
    PyEval_SaveThread();
    call_.call_.emplace();
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Unlocked& call_;
};

void run_signal_handlers() {
  if (current == nullptr || !is_main_thread()) return;
  const DenormalScope usual(DType::kFloat64);
  const WorkAlone alone;
  const Unlocked::Locked locked(current);
  if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
}

void with_interpreter(const std::function<void()>& work) {
  if (PyGILState_Check() != 0) return work();
  const DenormalScope usual(DType::kFloat64);
  if (current == nullptr) {
    const pybind11::gil_scoped_acquire locked;
    return work();
  }
  const Unlocked::Locked locked(current);
  work();
}

Unlocked::Unlocked() : before_(current), state_(PyEval_SaveThread()) {
  current = this;
  call_.emplace();
}

Unlocked::~Unlocked() {
  current = before_;
  call_.reset();  // first: fork() waits for calls with the lock held
  PyEval_RestoreThread(state_);
}

void wait_for_calls_at_exit() {
  // Python calls exit functions when no thread of its own runs any more.
  if (Py_AtExit(&wait_for_native_calls) != 0) {
    throw pybind11::import_error(
        "[cavs] expected a free place among Python's 32 exit functions, got none; "
        "import cavs before what takes them");
  }
}

}  // namespace cavs
