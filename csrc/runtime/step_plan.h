// The two programs of a training step, and the parts of the gradients that they give.
#pragma once

#include <memory>
#include <vector>

#include "runtime/executable.h"

namespace cavs {

// A part of a parameter's gradient, as the backward program gives it: the number of an output. For
// a part by rows, `ids` is the number of the output with their ids; otherwise it is -1.
struct GradientPart {
  int param = -1;
  int output = -1;
  int ids = -1;
};

// The facts that depend on the two programs alone. The backward program takes only cotangents of
// `loss`. For a parameter, its whole gradient comes before its parts by rows, and these follow each
// other.
struct StepPlan {
  StepPlan(std::shared_ptr<const Executable> forward, std::shared_ptr<const Executable> backward,
           int loss, std::vector<GradientPart> parts, std::vector<int> updates = {});

  std::shared_ptr<const Executable> forward, backward;
  int loss = 0;                     // output of forward
  std::vector<GradientPart> parts;  // ordered by parameter
  std::vector<int> params;          // that get a gradient, ascending
  std::vector<int> updates;         // outputs of forward that the caller gets: buffers' values

 private:
  void check_outputs() const;
};

// Values that a program gives, by the numbers of their outputs.
std::vector<const ValueSpec*> outputs_of(const Executable& exe);

}  // namespace cavs
