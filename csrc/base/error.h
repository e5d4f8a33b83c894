// Errors that cross from C++ to Python: each kind becomes one class of cavs.errors.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace cavs {

enum class ErrorKind { kGraph, kShape, kValue, kRuntime };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
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
