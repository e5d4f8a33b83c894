// Errors that cross from C++ to Python: each kind becomes one class of cavs.errors.
#pragma once

#include <cstdint>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

namespace cavs {

enum class ErrorKind { kGraph, kShape, kValue, kRuntime, kDevice };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// std::bad_alloc that says how much was asked for; MemoryError in Python.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(uint64_t bytes);
  // Of a device that has `free` of `total` bytes.
  OutOfMemory(uint64_t bytes, const std::string& device, uint64_t free, uint64_t total);
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

// Throws an Error whose message is the arguments, streamed one after the other. Messages read
// "[component] expected X, got Y; do Z".
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(kind, message.str());
}

}  // namespace cavs

#define CAVS_CHECK(condition, kind, ...)               \
  do {                                                 \
    if (!(condition)) ::cavs::fail(kind, __VA_ARGS__); \
  } while (false)
