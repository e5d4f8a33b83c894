// Names of vertex types as numbers, the same for all graphs of the process.
#pragma once

#include <cstdint>
#include <string>

namespace cavs {

// A vertex has the number of its type's name or, where its graph numbers the types, of a function's
// type: -1 - n for the n-th. So batches of graphs need no table of names of their own.
int32_t number_of_type(const std::string& name);
// The name behind a number that number_of_type gave.
std::string name_of_type(int32_t number);

constexpr int32_t numbered_type(int64_t n) { return static_cast<int32_t>(-1 - n); }

// "'char'", or "1" of a type that has no name, for messages.
std::string shown_type(int32_t type);

}  // namespace cavs
