// Gets memory that may be executed.
#include "cpu/groups/executable_memory.h"

#include <sys/mman.h>

#include <cstring>

namespace cavs {

std::shared_ptr<const void> make_executable_memory(const std::vector<uint8_t>& code) {
  const size_t size = code.size();
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  std::shared_ptr<void> owner(memory, [size](void* start) { munmap(start, size); });
  std::memcpy(memory, code.data(), size);
  if (mprotect(memory, size, PROT_READ | PROT_EXEC) != 0) return nullptr;
  return owner;
}

}  // namespace cavs
