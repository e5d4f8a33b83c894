// A training step: forward, the sum of a loss, backward, clipping and the optimiser's update.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "memory/allocator.h"
#include "runtime/later_step.h"
#include "runtime/run.h"
#include "runtime/step_arithmetic.h"
#include "runtime/step_plan.h"

namespace cavs {

// A parameter's gradient: an array of the caller, or rows by ascending distinct ids.
struct StepGradient {
  void* whole = nullptr;
  int64_t elements = 0;  // of `whole`
  std::shared_ptr<Block> ids_block, rows_block;
  const int32_t* ids = nullptr;
  void* rows = nullptr;
  int64_t count = 0, width = 0;
};

// The optimiser's arrays for a parameter, checked; see DenseUpdate.
struct StepUpdate {
  int gradient = -1;  // its number in StepPlan::params
  void* param = nullptr;
  void* first = nullptr;
  void* second = nullptr;
  void* third = nullptr;
  int64_t step = 1;
};

struct StepGroup {
  OptimizerSettings settings;
  std::vector<StepUpdate> updates;
};

struct StepInputs {
  std::vector<ExternalArray> params, inputs;
  double scale = 1;
  double clip_norm = 0;         // 0: gradients are left as they are
  std::vector<int> clip_order;  // numbers in StepPlan::params: the norm is summed up in this order
  std::vector<void*> wholes;    // [StepPlan::params] memory of a whole gradient, null for rows
  std::vector<StepGroup> groups;  // of the optimiser
  bool check = false;  // whether NaN and infinities are looked for, beyond the loss and the norm
  std::vector<std::optional<UpdateBounds>> known;  // [StepPlan::params] with `check`
};

struct StepResult {
  // On a device for which the host does not wait: the loss as an array of one element there, and
  // what became of the step. `loss`, `norm` and `refused` then say nothing.
  std::shared_ptr<Block> later_loss;
  std::shared_ptr<StepOutcome> outcome;
  double loss = 0;                      // the sum times the scale, rounded to the program's dtype
  double norm = 0;                      // of all gradients before clipping; 0 without clipping
  std::vector<StepGradient> gradients;  // [StepPlan::params]; empty where the loss is not finite
  bool refused = false;  // by a check of outputs and states for NaN, or of gradients and updates
  std::vector<UpdateBounds> bounds;             // [StepPlan::params] after the step, with `check`
  std::vector<std::shared_ptr<Block>> updates;  // [StepPlan::updates] values of one row
};

// Runs the step over a new run of plan.forward with `keep`. No parameter changes where the loss or
// the norm for clipping is not finite, or where a check refuses the step. Exceptions of the runs
// pass on before any parameter changes.
StepResult run_training_step(const StepPlan& plan, Run* run, const StepInputs& given,
                             int num_threads);

}  // namespace cavs
