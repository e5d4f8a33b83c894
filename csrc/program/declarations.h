// What a program declares before its instructions: distinct ids, values, states and saved values.
#pragma once

#include <string>

#include "program/program.h"

namespace cavs {

bool is_unique(const Program& program, int number);

// These throw Error(kValue) that names the user of the space or of the value.
void check_space(const Program& program, const Space& space, const std::string& name);
// Of one type, or of one list of edges.
void check_single(const Program& program, const Space& space, const std::string& name);
void check_members_of(const Program& program, bool edges, int members, const std::string& name);
void check_id(const Program& program, int id, const std::string& where);

// Throws Error(kValue) that names the wrong declaration. A backward program declares the forward
// program's uniques, and its values first.
void check_declarations(const Program& program);

}  // namespace cavs
