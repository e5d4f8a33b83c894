// Prints groups as CUDA C++.
#include "cuda/code/group_source.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <utility>

namespace cavs::cuda {
namespace {

constexpr size_t kMostPointers = 500;  // arguments of a kernel may have 4096 bytes
constexpr int kAccessBytes = 16;       // the widest load

std::string named(const char* kind, size_t number) { return kind + std::to_string(number); }

// A number with all its bits, of the group's type.
std::string literal(double value, DType dtype) {
  char text[64];
  if (dtype == DType::kFloat32) {
    const auto single = static_cast<float>(value);
    uint32_t bits = 0;
    std::memcpy(&bits, &single, sizeof bits);
    if (std::isfinite(single)) {
      std::snprintf(text, sizeof text, "%af", static_cast<double>(single));
    } else {
      std::snprintf(text, sizeof text, "__int_as_float(0x%08x)", bits);
    }
  } else if (std::isfinite(value)) {
    std::snprintf(text, sizeof text, "%a", value);
  } else {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    std::snprintf(text, sizeof text, "__longlong_as_double(0x%016llxLL)",
                  static_cast<unsigned long long>(bits));
  }
  return text;
}

std::vector<bool> used_inputs(const Group& group) {
  std::vector<bool> used(group.inputs.size(), false);
  for (const ScalarCall& call : group.calls) {
    for (const int argument : call.arguments) {
      if (argument >= 0 && static_cast<size_t>(argument) < used.size()) {
        used[static_cast<size_t>(argument)] = true;
      }
    }
  }
  return used;
}

// Several columns of a thread are one access where no row of an operand begins between two.
int columns_of_thread(const GroupKernel& kernel) {
  const int columns = kAccessBytes / static_cast<int>(item_size(kernel.dtype));
  bool all = kernel.width % columns == 0;
  for (size_t i = 0; i < kernel.inputs.size(); ++i) {
    const bool wide = kernel.used[i] && !kernel.reads[i].narrow;
    if (wide) all = all && kernel.inputs[i].ld % columns == 0;
  }
  for (const int ld : kernel.output_lds) all = all && ld % columns == 0;
  return all ? columns : 1;
}

// Calls visit(type, member) for each pointer of NAME_arguments.
template <class Visit>
void each_pointer(const GroupKernel& kernel, const Visit& visit) {
  for (size_t i = 0; i < kernel.inputs.size(); ++i) {
    if (!kernel.used[i]) continue;
    visit("const Real*", named("x", i));
    if (kernel.reads[i].read == Read::kIndexed) visit("const int*", named("index", i));
    if (kernel.reads[i].read != Read::kListSum) continue;
    visit("const int*", named("ptr", i));
    if (kernel.inputs[i].list) visit("const int*", named("list", i));
    if (kernel.inputs[i].part) visit("const int*", named("part", i));
  }
  for (size_t j = 0; j < kernel.output_lds.size(); ++j) visit("Real*", named("y", j));
}

class Printer {
 public:
  Printer(const Group& group, const GroupKernel& kernel) : group_(group), kernel_(kernel) {}

  std::string functions() {
    print_arguments();
    print_element();
    if (kernel_.width > 0) print_columns();
    print_rows();
    return std::exchange(out_, {}).str();
  }

  std::string kernel() {
    out_ << "extern \"C\" __global__ void __launch_bounds__(" << GroupKernel::kThreads << ") "
         << kernel_.kernel_name() << "(" << kernel_.name << "_arguments at, Rows rows) {\n  "
         << kernel_.name << "(at, rows, whole_grid());\n}\n\n";
    return out_.str();
  }

 private:
  void print_arguments() {
    out_ << "struct " << kernel_.name << "_arguments {\n";
    each_pointer(kernel_, [&](const char* type, const std::string& member) {
      out_ << "  " << type << " " << member << ";\n";
    });
    out_ << "};\n\n";
  }

  // The group itself, for one element.
  void print_element() {
    out_ << "__device__ __forceinline__ void " << kernel_.name << "_element(";
    bool first = true;
    const auto parameter = [&](const char* type, const std::string& name) {
      out_ << (first ? "" : ", ") << type << name;
      first = false;
    };
    for (size_t i = 0; i < group_.inputs.size(); ++i) {
      if (kernel_.used[i]) parameter("Real ", named("x", i));
    }
    for (size_t j = 0; j < group_.outputs.size(); ++j) parameter("Real& ", named("y", j));
    out_ << ") {\n";
    for (size_t i = 0; i < group_.calls.size(); ++i) {
      const ScalarCall& call = group_.calls[i];
      out_ << "  const Real " << value(group_.first_call() + static_cast<int>(i))
           << " = cavs::scalar_" << scalar_op_names()[static_cast<size_t>(call.op)] << "<Real>(";
      for (size_t k = 0; k < call.arguments.size(); ++k) {
        const int argument = call.arguments[k];
        out_ << (k == 0 ? "" : ", ") << (argument < 0 ? "0" : value(argument));
      }
      out_ << ");\n";
    }
    for (size_t j = 0; j < group_.outputs.size(); ++j) {
      out_ << "  y" << j << " = " << value(group_.outputs[j]) << ";\n";
    }
    out_ << "}\n\n";
  }

  std::string value(int number) const {
    const auto at = static_cast<size_t>(number);
    if (at < group_.inputs.size()) return named("x", at);
    if (number >= group_.first_call()) return named("v", at);
    return literal(group_.constants[at - group_.inputs.size()], kernel_.dtype);
  }

  // All rows, each thread doing kColumns columns at a time.
  void print_columns() {
    out_ << "template <int kColumns>\n__device__ __forceinline__ void " << kernel_.name
         << "_columns(const " << kernel_.name << "_arguments& at, Rows rows, Team team) {\n"
         << "  for_each_place<" << kernel_.width
         << " / kColumns>(rows, team, [&](int row, int place)"
         << " {\n    const int column = place * kColumns;\n";
    for (size_t i = 0; i < group_.inputs.size(); ++i) {
      if (kernel_.used[i]) print_input(i);
    }
    print_results();
    out_ << "  });\n}\n\n";
  }

  // The device function: several columns of a thread where memory allows.
  void print_rows() {
    const std::string columns = kernel_.name + "_columns", arguments = "(at, rows, team);\n";
    out_ << "__device__ __forceinline__ void " << kernel_.name << "(const " << kernel_.name
         << "_arguments& at, Rows rows, Team team) {\n";
    if (kernel_.width > 0 && kernel_.columns > 1) {
      out_ << "  if (are_aligned<" << kernel_.columns << ">(" << wide_operands() << ")) {\n    "
           << columns << "<" << kernel_.columns << ">" << arguments << "    return;\n  }\n";
    }
    if (kernel_.width > 0) out_ << "  " << columns << "<1>" << arguments;
    out_ << "}\n\n";
  }

  // The pointers to rows that are not narrow.
  std::string wide_operands() const {
    std::string all;
    for (size_t i = 0; i < group_.inputs.size(); ++i) {
      if (kernel_.used[i] && !group_.inputs[i].narrow) all += "at." + named("x", i) + ", ";
    }
    for (size_t j = 0; j < group_.outputs.size(); ++j) all += "at." + named("y", j) + ", ";
    return all.substr(0, all.size() - 2);
  }

  void print_input(size_t i) {
    const std::string n = std::to_string(i);
    out_ << "    const auto x" << n << " = ";
    switch (group_.inputs[i].read) {
      case Read::kShared:
        out_ << loaded(i, "at.x" + n);
        break;
      case Read::kRow:
        out_ << loaded(i, row_of(i, "row"));
        break;
      case Read::kIndexed:
        out_ << "at.index" << n << "[row] < 0 ? spread_lanes<kColumns>(0) : "
             << loaded(i, row_of(i, "at.index" + n + "[row]"));
        break;
      case Read::kListSum: {
        std::string from = row_of(i, kernel_.inputs[i].list ? "at.list" + n + "[e]" : "e");
        if (kernel_.inputs[i].part) {
          const int size = group_.inputs[i].narrow ? 1 : kernel_.width;
          from += " + row_offset(at.part" + n + "[e], " + std::to_string(size) + ")";
        }
        out_ << "sum_lanes<kColumns>(at.ptr" << n << "[row], at.ptr" << n
             << "[row + 1], [&](int e) {\n      return " << loaded(i, from) << ";\n    })";
        break;
      }
    }
    out_ << ";\n";
  }

  std::string row_of(size_t i, const std::string& row) const {
    return "at." + named("x", i) + " + row_offset(" + row + ", " +
           std::to_string(kernel_.inputs[i].ld) + ")";
  }

  // The columns of the thread from the row that begins at `row`.
  std::string loaded(size_t i, const std::string& row) const {
    if (group_.inputs[i].narrow) return "spread_lanes<kColumns>(*(" + row + "))";
    return "load_lanes<kColumns>(" + row + " + column)";
  }

  void print_results() {
    for (size_t j = 0; j < group_.outputs.size(); ++j) {
      out_ << "    Lanes<kColumns> y" << j << ";\n";
    }
    out_ << "#pragma unroll\n    for (int k = 0; k < kColumns; ++k) {\n      " << kernel_.name
         << "_element(";
    bool first = true;
    const auto argument = [&](const std::string& name) {
      out_ << (first ? "" : ", ") << name << ".at[k]";
      first = false;
    };
    for (size_t i = 0; i < group_.inputs.size(); ++i) {
      if (kernel_.used[i]) argument(named("x", i));
    }
    for (size_t j = 0; j < group_.outputs.size(); ++j) argument(named("y", j));
    out_ << ");\n    }\n";
    for (size_t j = 0; j < group_.outputs.size(); ++j) {
      out_ << "    store_lanes<kColumns>(at.y" << j << " + row_offset(row, "
           << kernel_.output_lds[j] << ") + column, y" << j << ");\n";
    }
  }

  const Group& group_;
  const GroupKernel& kernel_;
  std::ostringstream out_;
};

}  // namespace

std::string group_prelude() {
  return "#include \"cuda/kernels/group.h\"\n\nusing namespace cavs::cuda;\n\n";
}

GroupKernel print_group(const std::string& name, const Group& group, DType dtype,
                        const std::vector<GroupOperand>& inputs,
                        const std::vector<int>& output_lds) {
  if (inputs.size() != group.inputs.size() || output_lds.size() != group.outputs.size()) {
    fail("[cuda] expected ", group.inputs.size(), " inputs and ", group.outputs.size(),
         " outputs for the group '", name, "', got ", inputs.size(), " and ", output_lds.size(),
         "; give one for each");
  }
  GroupKernel kernel;
  kernel.name = name;
  kernel.width = static_cast<int>(group.width);
  kernel.dtype = dtype;
  kernel.reads = group.inputs;
  kernel.used = used_inputs(group);
  kernel.inputs = inputs;
  kernel.output_lds = output_lds;
  kernel.columns = columns_of_thread(kernel);
  each_pointer(kernel, [&](const char*, const std::string&) { ++kernel.pointers; });
  if (kernel.pointers > kMostPointers) {
    fail("[cuda] expected a group of at most ", kMostPointers,
         " operands and tables for a kernel, got ", kernel.pointers,
         "; compile without the pass fuse");
  }
  Printer printer(group, kernel);
  kernel.functions = printer.functions();
  kernel.text = kernel.functions + printer.kernel();
  return kernel;
}

}  // namespace cavs::cuda
