// What the C++ tests need of a test framework. A test is a plain program:
//   int main() { CHECK(1 + 1 == 2); return cavs_test::result(); }
#pragma once

#include <cstdio>
#include <string>

namespace cavs_test {

inline int failures = 0;

inline void report(const char* file, int line, const std::string& what) {
  ++failures;
  std::fprintf(stderr, "%s:%d: failed: %s\n", file, line, what.c_str());
}

// The exit status of the program.
inline int result() {
  if (failures > 0) std::fprintf(stderr, "%d checks failed\n", failures);
  return failures > 0 ? 1 : 0;
}

}  // namespace cavs_test

// Counts a failure and goes on.
#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) ::cavs_test::report(__FILE__, __LINE__, "" #condition); \
  } while (false)

// The statement must throw an `error` whose message contains `text`.
#define CHECK_THROWS(statement, error, text)                                                     \
  do {                                                                                           \
    std::string message_ = "nothing";                                                            \
    try {                                                                                        \
      statement;                                                                                 \
    } catch (const error& caught_) {                                                             \
      message_ = caught_.what();                                                                 \
    }                                                                                            \
    if (message_.find(text) == std::string::npos) {                                              \
      ::cavs_test::report(__FILE__, __LINE__,                                                    \
                          std::string(#statement ", expected ") + (text) + ", got " + message_); \
    }                                                                                            \
  } while (false)
