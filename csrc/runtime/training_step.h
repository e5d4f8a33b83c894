// A training step: forward, the sum of a loss, backward, clipping and the optimiser's update.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "memory/allocator.h"
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

// What the optimiser keeps for a parameter, checked: as in DenseUpdate.
struct StepUpdate {
  int gradient = -1;  // its number in StepPlan::params
  void* param = nullptr;
  void* first = nullptr;
  void* second = nullptr;
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
  std::vector<void*> wholes;    // [StepPlan::params] memory of a whole gradient, null of rows
  std::vector<StepGroup> groups;  // of the optimiser
  bool check = false;  // whether NaN and infinities are looked for, beyond the loss and the norm
  std::vector<std::optional<UpdateBounds>> known;  // [StepPlan::params] with `check`
};

struct StepResult {
  double loss = 0;  // the sum times the scale, as the program's dtype has it
  double norm = 0;  // of all gradients before they were clipped; 0 where they were not to be
  std::vector<StepGradient> gradients;  // [StepPlan::params]; empty where the loss is not finite
  bool refused = false;  // by a check: of NaN in an output or state, of a gradient, of an update
  std::vector<UpdateBounds> bounds;  // [StepPlan::params] after the step, with `check`
};

// Runs the step over a new run of plan.forward that keeps what backward needs. Where the loss, or
// the norm that gradients are clipped by, is not finite, or a check refuses the step, no parameter
// changes. Throws what the runs throw, before anything changes.
StepResult run_training_step(const StepPlan& plan, Run* run, const StepInputs& given,
                             int num_threads);

}  // namespace cavs
