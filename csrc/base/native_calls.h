// Native calls that run beside the interpreter, counted: fork() and the end of the process wait for
// them.
#pragma once

namespace cavs {

// While one lives, its thread works without the interpreter's lock. fork() waits until none does,
// and none begins meanwhile: the child then finds no mutex locked and nothing half changed, neither
// of ours nor of OpenBLAS.
class NativeCall {
 public:
  NativeCall();
  ~NativeCall();
  NativeCall(const NativeCall&) = delete;
  NativeCall& operator=(const NativeCall&) = delete;
};

// Waits until no call runs; those of this thread do not count.
void wait_for_native_calls();

}  // namespace cavs
