// Long calls, which their caller may end before they are done.
#pragma once

#include <cstdint>

namespace cavs {

// What calls ask now and then, on the thread that they came on: it throws where the call is to end.
// Set once, by whoever knows the caller.
void set_interrupt_check(void (*check)());

// Asks about ten times a second, so that to poll between any two pieces of work costs nothing.
class Interrupt {
 public:
  Interrupt();
  void poll() {
    if (coarse_ns() >= next_) ask();
  }

 private:
  static int64_t coarse_ns();
  void ask();

  int64_t next_;
};

}  // namespace cavs
