// Names of a program's parts, for people to read.
#pragma once

#include <string>
#include <vector>

#include "program/program.h"

namespace cavs {

// "vertex", "edge", ...; for distinct ids "unique:" and their name.
std::string space_name(const Space& space, const std::vector<UniqueSpec>& uniques);

}  // namespace cavs
