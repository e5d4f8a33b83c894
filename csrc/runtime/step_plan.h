// What a training step knows of its two programs.
#pragma once

#include <memory>
#include <vector>

#include "runtime/executable.h"

namespace cavs {

// A part of a parameter's gradient, as the backward program gives it: the number of an output, and,
// of a part by rows, of the output with their ids, else -1.
struct GradientPart {
  int param = -1;
  int output = -1;
  int ids = -1;
};

// What depends on the two programs alone. The backward program takes cotangents of `loss` alone,
// and gives a parameter's whole gradient before its parts by rows, and those one after the other.
struct StepPlan {
  StepPlan(std::shared_ptr<const Executable> forward, std::shared_ptr<const Executable> backward,
           int loss, std::vector<GradientPart> parts);

  std::shared_ptr<const Executable> forward, backward;
  int loss = 0;                     // output of forward
  std::vector<GradientPart> parts;  // ordered by parameter
  std::vector<int> params;          // that get a gradient; the others of a step's lists are empty

 private:
  void check_outputs() const;
};

// Values that a program gives, by the numbers of their outputs.
std::vector<const ValueSpec*> outputs_of(const Executable& exe);

}  // namespace cavs
