// Takes the launches of instructions apart: which device function each calls, and with what.
#include "cuda/levels/levels_steps.h"

#include <algorithm>
#include <cstring>

#include "cuda/kernels/levels_call.h"
#include "cuda/launches/products.h"
#include "cuda/launches/products_blas.h"
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {

const DeviceFunction kStripedProduct = {nullptr, "levels", "StripedProduct", "multiply_stripes",
                                        true};

namespace {

constexpr size_t kMostArguments = 4000;  // bytes; a kernel may have 4096, with what all have
constexpr int kStripe = 32;              // as kernels/products*.h

const DeviceFunction kTiledMatrices = {nullptr, "levels", "Product", "multiply_matrices", true};
const DeviceFunction kDotMatrices = {nullptr, "levels", "Product", "product_by_dots"};
const DeviceFunction kElementMatrices = {nullptr, "levels", "Product", "product_by_elements"};
const DeviceFunction kProductSum = {nullptr, "levels", "Product", "add_products", true, true};
const DeviceFunction kRowSum = {nullptr, "levels", "RowSum", "add_rows", true, true};

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
  static_assert(alignof(T) == 8 && sizeof(T) % 8 == 0, "members one after the other");
  std::vector<std::byte> bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Notes what would be launched.
class Recorder final : public Library {
 public:
  Recorder(OpenGpu& open, DType dtype) : Library(open, dtype, false) {}

  void launch(const Stream&, std::string_view, std::string_view name, const Shape& shape,
              const Argument& call) override {
    const DeviceFunction* const found = find_row_function(name);
    if (found == nullptr) {
      missing = true;
      return;
    }
    LevelsStep step;
    step.function = found;
    step.blocks = shape.blocks;
    const auto* const data = static_cast<const std::byte*>(call.data);
    step.arguments.assign(data, data + call.bytes);
    steps.push_back(std::move(step));
  }

  std::vector<LevelsStep> steps;
  bool missing = false;  // a kernel without a device function was asked for
};

LevelsStep group_step(const BoundCall& it, bool blank) {
  LevelsStep step;
  const GroupKernel& group = it.group->printed;
  step.group = &group;
  step.columns = group.columns;
  step.arguments.resize(group.pointers * sizeof(Address));
  if (!blank) {
    DeviceCall all = it.call;  // of levels: which rows a level writes over is its launch's to check
    all.rows = {0, 0};
    const std::vector<Address> arguments = group_arguments(group, all);
    step.columns = columns_at(group, it.call);
    const auto* const data = reinterpret_cast<const std::byte*>(arguments.data());
    step.arguments.assign(data, data + arguments.size() * sizeof(Address));
  }
  const int64_t rows = it.call.rows.end - it.call.rows.begin;
  step.blocks = static_cast<unsigned>(
      std::min<int64_t>(divided(rows * (group.width / step.columns), kThreads), 1 << 14));
  return step;
}

// Rows with a weight, or a matrix for each row.
LevelsStep product_step(const DeviceCall& call) {
  LevelsStep step;
  const Product p = product_of_rows(call);
  const int64_t rows = call.rows.end - call.rows.begin;
  if (p.w.ld == 0) {
    StripedProduct striped;
    striped.product = p;
    step.function = &kStripedProduct;
    step.stripes = static_cast<int>(divided(p.columns, kStripe));
    striped.all = step.stripes;
    striped.slice = p.terms * kStripe;
    step.blocks = static_cast<unsigned>(std::min<int64_t>(rows * p.lines, 1 << 14)) *
                  static_cast<unsigned>(step.stripes);
    step.arguments = bytes_of(striped);
    return step;
  }
  const WayOfMatrices way = way_of_matrices(p);
  step.function = way == WayOfMatrices::kTiles  ? &kTiledMatrices
                  : way == WayOfMatrices::kDots ? &kDotMatrices
                                                : &kElementMatrices;
  step.blocks = static_cast<unsigned>(std::min<int64_t>(items_of_matrices(p, rows), 1 << 14));
  step.arguments = bytes_of(p);
  return step;
}

LevelsStep sum_step(const DeviceCall& call) {
  LevelsStep step;
  step.goes_on = goes_on(*call.instruction);
  if (product_of(*call.instruction) != nullptr) {
    const Product p = product_of_sum(call);
    step.function = &kProductSum;
    step.blocks = static_cast<unsigned>(tiles_of(p.lines, p.columns));
    step.arguments = bytes_of(p);
  } else {
    step.function = &kRowSum;
    step.blocks = static_cast<unsigned>(divided(call.in[0].size, 32));
    step.arguments = bytes_of(RowSum{call.in[0], call.out[0]});
  }
  return step;
}

// cuBLAS would compute some products of rows so large; its sums have an order of their own.
bool are_large_matrices(const DeviceCall& call) {
  const Product p = product_of_rows(call);
  return std::min({p.lines, p.columns, p.terms}) >= blas_limits().side;
}

std::string add_steps(Recorder& recorder, const Stream& stream, const BoundCall& it, bool blank) {
  const Instruction& instruction = *it.call.instruction;
  const std::string name = instruction.kernel->name;
  if (it.group != nullptr) {
    recorder.steps.push_back(group_step(it, blank));
  } else if (name == "matmul" || name == "matmul_masked") {
    if (are_large_matrices(it.call)) return "'" + name + "' of large matrices is cuBLAS's";
    recorder.steps.push_back(product_step(it.call));
  } else if (name == "matmul_reduce" || name == "matmul_reduce_masked" || name == "reduce_rows") {
    recorder.steps.push_back(sum_step(it.call));
  } else {
    it.prepared->kernel->launch(recorder, stream, it.call);
    if (recorder.missing) return "'" + name + "' has no device function for a team";
  }
  return "";
}

}  // namespace

std::vector<LevelsStep> steps_of(OpenGpu& open, const std::vector<BoundCall>& calls, bool blank,
                                 std::string* why_not) {
  if (calls.empty()) return {};
  Recorder recorder(open, calls[0].call.program->dtype);
  for (size_t i = 0; i < calls.size(); ++i) {
    const size_t first = recorder.steps.size();
    *why_not = add_steps(recorder, open.stream, calls[i], blank);
    if (!why_not->empty()) return {};
    for (size_t s = first; s < recorder.steps.size(); ++s) {
      recorder.steps[s].call = i;
      recorder.steps[s].edges = calls[i].prepared->edges;
    }
  }
  size_t bytes = 0;
  for (const LevelsStep& step : recorder.steps) bytes += step.arguments.size();
  if (bytes > kMostArguments) {
    *why_not = "it has more operands than one kernel can be given";
    return {};
  }
  return std::move(recorder.steps);
}

}  // namespace cavs::cuda
