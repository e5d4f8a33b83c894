// Native calls that run beside the interpreter, counted: fork() and the end of the process wait for
// them.
#pragma once

namespace cavs {

// While one lives, its thread works without the interpreter's lock. fork() waits until none lives,
// and none begins meanwhile. So the child finds no mutex locked and no state half changed, neither
// here nor in OpenBLAS.
class NativeCall {
 public:
  NativeCall();
  ~NativeCall();
  NativeCall(const NativeCall&) = delete;
  NativeCall& operator=(const NativeCall&) = delete;
};

// Waits until no other thread runs a call.
void wait_for_native_calls();

}  // namespace cavs
