// Native work beside the interpreter.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "base/native_calls.h"

namespace cavs {

// While one lives, other Python threads run: in place of pybind11's gil_scoped_release, which
// cannot be in a daemon thread when the interpreter ends. Up to Python 3.13 whoever asks for the
// lock then is ended by pthread_exit, which unwinds the stack: through a destructor that may not
// throw, so that the process aborts, and through ours, which would touch Python's objects without
// the lock. Here such a thread sleeps until the process is gone, as from Python 3.14 on.
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

  Unlocked* const before_;  // of this thread: a handler may make a call of its own
  PyThreadState* const state_;
  std::optional<NativeCall> call_;
};

// Throws what a signal handler of Python raises; for base/interrupt.h.
void run_signal_handlers();

// Has the process wait at its end for calls of daemon threads, before libraries that they are in
// let go of their memory.
void wait_for_calls_at_exit();

}  // namespace cavs
