// Words the errors that several places throw.
#include "base/error.h"

#include <cstdio>

namespace cavs {
namespace {

std::string readable(uint64_t bytes) {
  static const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (size >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
    size /= 1024;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof(text), "%.1f %s (%llu bytes)", size, units[unit],
                static_cast<unsigned long long>(bytes));
  return text;
}

}  // namespace

OutOfMemory::OutOfMemory(uint64_t bytes)
    : message_("[memory] expected " + readable(bytes) +
               " of memory, got less from the system; use smaller batches or a smaller model") {}

OutOfMemory::OutOfMemory(uint64_t bytes, const std::string& device, uint64_t free, uint64_t total)
    : message_("[memory] expected " + readable(bytes) + " of memory of " + device + ", got " +
               readable(free) + " free of " + readable(total) +
               "; use smaller batches or a smaller model") {}

}  // namespace cavs
