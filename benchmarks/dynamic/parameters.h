// What learns: dense parameters and lookup tables, with gradients and the sums of Adagrad.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dynamic/buffer.h"

namespace cavs::dynamic {

// A weight as the engine's products of few rows read it fastest.
struct Panels {
  FloatBuffer data;
  bool fresh = false;  // they are of the present values
  int64_t rows = 0;    // multiplied without them since the values changed
};

struct Parameter {
  std::string name;
  int64_t rows = 0, columns = 0;  // of a bias: (size, 1)
  bool is_lookup = false;
  bool is_vector = false;  // how it is shown, with columns == 1
  FloatBuffer value, squares;
  // Dense: the gradient, meaningless until it is touched. Lookup: a row for each of `ids`.
  FloatBuffer gradient;
  bool touched = false;
  Panels forward, backward;   // W^T and W
  std::vector<int32_t> ids;   // distinct, in the order in which they occurred
  std::vector<int32_t> slot;  // id -> its row in `gradient`, -1 without

  int64_t size() const { return rows * columns; }
};

class Parameters {
 public:
  // Copies rows * columns floats; returns the parameter's number.
  int32_t add(const std::string& name, const float* value, int64_t rows, int64_t columns,
              bool is_lookup);
  int32_t count() const { return static_cast<int32_t>(all_.size()); }
  Parameter& at(int32_t number);
  const Parameter& at(int32_t number) const;

  void zero_gradients();
  // Where gradients of row `id` of a lookup table are added up.
  float* gradient_row(Parameter* table, int32_t id);
  void adagrad(double learning_rate, double eps);

 private:
  std::vector<Parameter> all_;
};

}  // namespace cavs::dynamic
