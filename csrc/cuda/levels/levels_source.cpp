// Prints levels segments as CUDA C++.
#include "cuda/levels/levels_source.h"

#include <algorithm>
#include <set>
#include <sstream>

namespace cavs::cuda {
namespace {

std::string numbered(const char* word, size_t number) { return word + std::to_string(number); }

class Printer {
 public:
  Printer(std::string name, const std::vector<LevelsStep>& steps, const LevelsOrder& order)
      : name_(std::move(name)), steps_(steps), order_(order) {
    for (size_t i = 0; i < steps.size(); ++i) {
      int& behind = behind_[steps[i].edges];
      behind = std::max(behind, order.levels_behind(i));
    }
  }

  std::string text() {
    print_headers();
    print_groups();
    print_arguments();
    out_ << "extern \"C\" __global__ void __launch_bounds__(256) " << name_
         << "(const __grid_constant__ " << name_ << "_arguments at, const __grid_constant__ "
         << "Levels levels) {\n"
         << "  const Team grid = whole_grid();\n";
    if (any_step([](const LevelsStep& step) { return step.group != nullptr; })) {
      out_ << "  const Team others = {(grid.block + grid.blocks / 2) % grid.blocks, "
              "grid.blocks};\n";
    }
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].function != &kStripedProduct) continue;
      out_ << "  keep_weight(at." << numbered("step", i) << ", grid);\n";
    }
    out_ << "  __syncthreads();\n";
    print_levels();
    out_ << "}\n";
    return out_.str();
  }

 private:
  void print_headers() {
    out_ << "#include \"cuda/kernels/group.h\"\n#include \"cuda/kernels/levels.h\"\n";
    std::set<std::string> headers;
    for (const LevelsStep& step : steps_) {
      if (step.function != nullptr) headers.insert(step.function->unit);
    }
    for (const std::string& header : headers) {
      out_ << "#include \"cuda/kernels/" << header << ".h\"\n";
    }
    out_ << "\nusing namespace cavs::cuda;\n\n";
  }

  void print_groups() {
    std::set<const GroupKernel*> printed;
    for (const LevelsStep& step : steps_) {
      if (step.group != nullptr && printed.insert(step.group).second) {
        out_ << step.group->functions;
      }
    }
  }

  void print_arguments() {
    out_ << "struct " << name_ << "_arguments {\n";
    for (size_t i = 0; i < steps_.size(); ++i) {
      const LevelsStep& step = steps_[i];
      const std::string type =
          step.group != nullptr ? step.group->name + "_arguments" : step.function->type;
      out_ << "  " << type << " " << numbered("step", i) << ";\n";
    }
    out_ << "};\n\n";
  }

  template <class Is>
  bool any_step(const Is& is) const {
    return std::any_of(steps_.begin(), steps_.end(), is);
  }

  // Rows of levels are read a level ahead, so that nobody waits for them.
  void print_levels() {
    for (const bool edges : {false, true}) {
      if (behind_[edges] < 0) continue;
      const std::string space = spaces(edges);
      out_ << "  Rows next_" << space << " = rows_of_level(levels, levels." << space << ", 0)";
      for (int behind = 0; behind <= behind_[edges]; ++behind) {
        out_ << ", " << space << behind << " = {}";
      }
      out_ << ";\n";
    }
    out_ << "  const int numbers = levels.count + " << std::max({0, behind_[0], behind_[1]})
         << ";\n  for (int number = 0; number < numbers; ++number) {\n";
    for (const bool edges : {false, true}) {
      if (behind_[edges] < 0) continue;
      const std::string space = spaces(edges);
      for (int behind = behind_[edges]; behind > 0; --behind) {
        out_ << "    " << space << behind << " = " << space << behind - 1 << ";\n";
      }
      out_ << "    " << space << "0 = next_" << space << ";\n"
           << "    next_" << space << " = rows_of_level(levels, levels." << space
           << ", number + 1);\n";
    }
    for (int round = 0; round < order_.rounds; ++round) print_round(round);
    out_ << "  }\n";
  }

  static std::string spaces(bool edges) { return edges ? "edges" : "vertices"; }
  std::string rows_of(size_t i) const {
    return spaces(steps_[i].edges) + std::to_string(order_.levels_behind(i));
  }

  void print_round(int round) {
    std::set<std::string> rows;
    bool shares = false;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (order_.round(i) != round) continue;
      const bool shared = steps_[i].function != nullptr && steps_[i].function->shared;
      if (shared && shares) out_ << "    __syncthreads();\n";
      shares = shares || shared;
      out_ << "    if (any(" << rows_of(i) << ")) " << statement(i) << "\n";
      rows.insert(rows_of(i));
    }
    if (rows.empty()) return;
    // Who comes last need not wait.
    out_ << "    if (";
    if (round == order_.rounds - 1) out_ << "number + 1 < numbers && ";
    out_ << "(";
    const char* between = "";
    for (const std::string& one : rows) {
      out_ << between << "any(" << one << ")";
      between = " || ";
    }
    out_ << ")) meet_grid(levels.gate);\n";
  }

  std::string statement(size_t i) const {
    const LevelsStep& step = steps_[i];
    const std::string at = "at." + numbered("step", i);
    if (step.group != nullptr) {
      if (step.group->width == 0) return "{}";
      return step.group->name + "_columns<" + std::to_string(step.columns) + ">(" + at + ", " +
             rows_of(i) + ", others);";
    }
    const DeviceFunction& function = *step.function;
    std::string given = at + ", " + rows_of(i);
    if (function.kernel != nullptr) {
      given = "over(" + given + ")";
    } else {
      if (function.sums) given += step.goes_on ? ", true" : ", false";
      given += ", grid";
    }
    return std::string(function.name) + "(" + given + ");";
  }

  const std::string name_;
  const std::vector<LevelsStep>& steps_;
  const LevelsOrder& order_;
  int behind_[2] = {-1, -1};  // levels, of steps over vertices and over edges
  std::ostringstream out_;
};

}  // namespace

std::string print_levels(const std::string& name, const std::vector<LevelsStep>& steps,
                         const LevelsOrder& order) {
  return Printer(name, steps, order).text();
}

}  // namespace cavs::cuda
