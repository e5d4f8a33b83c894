// Native work beside the interpreter.
#pragma once

#include <pybind11/pybind11.h>

#include <functional>
#include <optional>

#include "base/native_calls.h"

namespace cavs {

// While one lives, other Python threads run. It replaces pybind11's gil_scoped_release, which knows
// nothing of fork() and of signals. A daemon thread may meet the end of the interpreter when it
// asks for the lock again: see thread_end.cpp.
//
// Long calls ask now and then whether the main thread's signal handlers raise an exception, which
// then ends the call.
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  class Locked;
  friend void run_signal_handlers();
  friend void with_interpreter(const std::function<void()>& work);

  Unlocked* const before_;  // of this thread: a handler may make a call of its own
  PyThreadState* const state_;
  std::optional<NativeCall> call_;
};

// Throws the exception that a signal handler of Python raises; for base/interrupt.h.
void run_signal_handlers();

// Does work that needs the interpreter's lock, also in the middle of a call without it. Exceptions
// of Python pass on.
void with_interpreter(const std::function<void()>& work);

// Makes the process wait at its end for calls of daemon threads, before the libraries that run the
// calls free their memory.
void wait_for_calls_at_exit();

}  // namespace cavs
