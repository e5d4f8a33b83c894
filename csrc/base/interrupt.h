// Long calls, which their caller may end before they are done.
#pragma once

#include <cstdint>

namespace cavs {

// Calls ask this check now and then, on the thread that they came on. It throws where the call is
// to end. Whoever knows the caller sets it once.
void set_interrupt_check(void (*check)());

// Asks about ten times a second, so a call may poll between any two pieces of work at no cost.
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
