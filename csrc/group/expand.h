// A group as operations on vectors, for every printer that has no scalar operations of its own.
#pragma once

#include <vector>

#include "group/group.h"
#include "group/vector_code.h"

namespace cavs {

struct Expanded {
  VectorCode code;
  std::vector<int> outputs;  // values of the group's outputs
};

Expanded expand(const Group& group);

}  // namespace cavs
