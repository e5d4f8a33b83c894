// Keeps each name of a type once.
#include "graph/type_names.h"

#include <map>
#include <mutex>
#include <vector>

#include "base/everlasting.h"

namespace cavs {
namespace {

struct Names {
  std::mutex mutex;
  std::map<std::string, int32_t> numbers;
  std::vector<std::string> names;
};

Names& names() {
  static Names& all = everlasting<Names>();
  return all;
}

}  // namespace

int32_t number_of_type(const std::string& name) {
  Names& all = names();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.numbers.emplace(name, static_cast<int32_t>(all.names.size()));
  if (found.second) all.names.push_back(name);
  return found.first->second;
}

std::string name_of_type(int32_t number) {
  Names& all = names();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return all.names.at(static_cast<size_t>(number));
}

std::string shown_type(int32_t type) {
  return type < 0 ? std::to_string(-1 - type) : "'" + name_of_type(type) + "'";
}

}  // namespace cavs
