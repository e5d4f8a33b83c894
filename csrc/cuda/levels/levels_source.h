// A levels segment as CUDA C++: one kernel that runs any number of its levels, with a barrier of
// the whole grid between rounds.
//
// As with groups, addresses and rows are arguments. For a segment NAME the text has
//
//   struct NAME_arguments                     what each step is given, one after the other
//   extern "C" __global__ NAME(NAME_arguments, Levels)
//
// to be launched cooperatively with 256 threads a block. Weights of products stand in dynamic
// shared memory (StripedProduct).
#pragma once

#include <string>
#include <vector>

#include "cuda/levels/levels_order.h"
#include "cuda/levels/levels_steps.h"

namespace cavs::cuda {

// Functions of groups stand once in the text, however many steps call them.
std::string print_levels(const std::string& name, const std::vector<LevelsStep>& steps,
                         const LevelsOrder& order);

}  // namespace cavs::cuda
