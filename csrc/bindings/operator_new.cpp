// Makes the extension's own allocations name the bytes asked for in their std::bad_alloc,
// MemoryError in Python. Allocations of other libraries are not changed, because the extension is
// loaded without giving its symbols to anybody.
#include <cstdlib>
#include <new>

#include "base/error.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // which bring their own

void* operator new(std::size_t bytes) {
  constexpr std::size_t kSmall = 1 << 16;  // without memory for so few, there is none for a message
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  if (bytes < kSmall) throw std::bad_alloc();
  throw cavs::OutOfMemory(bytes);
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#endif
