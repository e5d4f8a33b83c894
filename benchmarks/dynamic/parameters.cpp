#include "dynamic/parameters.h"

#include <algorithm>

#include "base/error.h"
#include "cpu/step_arithmetic.h"

namespace cavs::dynamic {

int32_t Parameters::add(const std::string& name, const float* value, int64_t rows, int64_t columns,
                        bool is_lookup) {
  Parameter parameter;
  parameter.name = name;
  parameter.rows = rows;
  parameter.columns = columns;
  parameter.is_lookup = is_lookup;
  const int64_t size = parameter.size();
  std::copy(value, value + size, parameter.value.at_least(size));
  std::fill_n(parameter.squares.at_least(size), size, 0.0f);
  if (is_lookup) {
    parameter.slot.assign(static_cast<size_t>(rows), -1);
  } else {
    parameter.gradient.at_least(size);
  }
  all_.push_back(std::move(parameter));
  return count() - 1;
}

Parameter& Parameters::at(int32_t number) {
  CAVS_CHECK(number >= 0 && number < count(), ErrorKind::kValue,
             "[dynamic] expected a parameter from 0 to ", count() - 1, ", got ", number,
             "; add() returns its number");
  return all_[static_cast<size_t>(number)];
}

const Parameter& Parameters::at(int32_t number) const {
  return const_cast<Parameters*>(this)->at(number);
}

void Parameters::zero_gradients() {
  for (Parameter& parameter : all_) {
    parameter.touched = false;
    for (const int32_t id : parameter.ids) parameter.slot[static_cast<size_t>(id)] = -1;
    parameter.ids.clear();
  }
}

float* Parameters::gradient_row(Parameter* table, int32_t id) {
  const int64_t d = table->columns;
  int32_t& slot = table->slot[static_cast<size_t>(id)];
  if (slot >= 0) return table->gradient.data() + slot * d;
  slot = static_cast<int32_t>(table->ids.size());
  if (slot == 0) table->gradient.at_least(0);
  table->ids.push_back(id);
  float* row = table->gradient.extend((slot + 1) * d) + slot * d;
  std::fill_n(row, d, 0.0f);
  return row;
}

void Parameters::adagrad(double learning_rate, double eps) {
  const StepArithmetic<float>& arithmetic = cpu_step_arithmetic<float>();
  AdagradSettings settings;
  settings.lr = learning_rate;
  settings.eps = eps;
  std::vector<DenseUpdate<float>> updates;
  for (Parameter& p : all_) {
    if (p.is_lookup) {
      const DenseUpdate<float> update = {p.value.data(), p.gradient.data(), p.squares.data()};
      arithmetic.update_rows(settings, update, p.ids.data(), static_cast<int64_t>(p.ids.size()),
                             p.columns);
    } else if (p.touched) {
      updates.push_back({p.value.data(), p.gradient.data(), p.squares.data(), nullptr, p.size()});
      for (Panels* panels : {&p.forward, &p.backward}) {
        panels->fresh = false;
        panels->rows = 0;
      }
    }
  }
  arithmetic.update(settings, updates);
}

}  // namespace cavs::dynamic
