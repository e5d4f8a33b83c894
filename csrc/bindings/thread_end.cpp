// Keeps a daemon thread that the interpreter ends from unwinding our frames.
#if defined(__linux__) && !defined(__ARM_EABI_UNWINDER__)

#include <unistd.h>
#include <unwind.h>

// Up to Python 3.13, a daemon thread that asks for the interpreter's lock while the interpreter
// ends is ended by pthread_exit, which unwinds its stack. Any call of ours may ask: the lock
// changes hands in each piece of Python code that a call runs, such as a method __dlpack__. The
// destructors in our frames would then touch Python's objects without the lock, and those that may
// not throw would abort the process. So the thread sleeps until the process is gone, as it does
// from Python 3.14 on.
//
// The unwinder asks a frame's personality routine before it runs the frame's destructors. The
// linker puts this one in place of the C++ library's for the frames of this extension
// (--wrap=__gxx_personality_v0). Exceptions do not force an unwind, and go the usual way.
extern "C" {

_Unwind_Reason_Code __real___gxx_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class,
                                                _Unwind_Exception*, _Unwind_Context*);

_Unwind_Reason_Code __wrap___gxx_personality_v0(int version, _Unwind_Action actions,
                                                _Unwind_Exception_Class type,
                                                _Unwind_Exception* exception,
                                                _Unwind_Context* context) {
  if ((actions & _UA_FORCE_UNWIND) != 0) {
    while (true) pause();
  }
  return __real___gxx_personality_v0(version, actions, type, exception, context);
}

}  // extern "C"

#endif
