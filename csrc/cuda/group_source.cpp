// Prints groups as CUDA C++ and hands their kernels what they take.
#include "cuda/group_source.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <sstream>

namespace cavs::cuda {
namespace {

constexpr size_t kMostPointers = 500;  // arguments of a kernel may have 4096 bytes
constexpr int kThreads = 128;
constexpr int64_t kMostBlocks = 1 << 14;  // threads go on from there
constexpr int kAccessBytes = 16;          // the widest load

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

  std::string text() {
    print_arguments();
    print_element();
    print_rows();
    out_ << "extern \"C\" __global__ void __launch_bounds__(" << kThreads << ") "
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

  void print_rows() {
    const int columns = kernel_.columns;
    out_ << "__device__ __forceinline__ void " << kernel_.name << "(const " << kernel_.name
         << "_arguments& at, Rows rows, Team team) {\n";
    if (kernel_.width > 0) {
      out_ << "  for_each_place<" << kernel_.width / columns
           << ">(rows, team, [&](int row, int place) {\n    const int column = place * " << columns
           << ";\n";
      for (size_t i = 0; i < group_.inputs.size(); ++i) {
        if (kernel_.used[i]) print_input(i);
      }
      print_columns();
      out_ << "  });\n";
    }
    out_ << "}\n\n";
  }

  void print_input(size_t i) {
    const std::string n = std::to_string(i), lanes = "<" + std::to_string(kernel_.columns) + ">";
    out_ << "    const auto x" << n << " = ";
    switch (group_.inputs[i].read) {
      case Read::kShared:
        out_ << loaded(i, "at.x" + n);
        break;
      case Read::kRow:
        out_ << loaded(i, row_of(i, "row"));
        break;
      case Read::kIndexed:
        out_ << "at.index" << n << "[row] < 0 ? spread_lanes" << lanes
             << "(0) : " << loaded(i, row_of(i, "at.index" + n + "[row]"));
        break;
      case Read::kListSum: {
        std::string from = row_of(i, kernel_.inputs[i].list ? "at.list" + n + "[e]" : "e");
        if (kernel_.inputs[i].part) {
          const int size = group_.inputs[i].narrow ? 1 : kernel_.width;
          from += " + row_offset(at.part" + n + "[e], " + std::to_string(size) + ")";
        }
        out_ << "sum_lanes" << lanes << "(at.ptr" << n << "[row], at.ptr" << n
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
    const std::string lanes = "<" + std::to_string(kernel_.columns) + ">";
    if (group_.inputs[i].narrow) return "spread_lanes" + lanes + "(*(" + row + "))";
    return "load_lanes" + lanes + "(" + row + " + column)";
  }

  void print_columns() {
    for (size_t j = 0; j < group_.outputs.size(); ++j) {
      out_ << "    Lanes<" << kernel_.columns << "> y" << j << ";\n";
    }
    out_ << "#pragma unroll\n    for (int k = 0; k < " << kernel_.columns << "; ++k) {\n      "
         << kernel_.name << "_element(";
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
      out_ << "    store_lanes<" << kernel_.columns << ">(at.y" << j << " + row_offset(row, "
           << kernel_.output_lds[j] << ") + column, y" << j << ");\n";
    }
  }

  const Group& group_;
  const GroupKernel& kernel_;
  std::ostringstream out_;
};

Address address_of(const void* data) { return reinterpret_cast<Address>(data); }

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// Whether a thread may write an element of `out` that another thread still reads of `in`.
bool collide(const GroupKernel& kernel, const GroupInput& input, const Operand& in,
             const Operand& out, const Rows& rows) {
  const auto item = item_size(kernel.dtype);
  const int64_t size = input.narrow ? 1 : kernel.width, width = kernel.width;
  const auto bytes = static_cast<int64_t>(address_of(out.data) - address_of(in.data));
  const bool has_rows = in.ld != 0 && out.ld != 0;
  if (bytes == 0 && in.ld == out.ld && size == width && has_rows) return false;
  const int64_t last = rows.end - 1;
  const int64_t shift = floor_divide(bytes, item);  // elements of `in` before the first of `out`
  const int64_t out_begin = shift + int64_t{rows.begin} * out.ld,
                out_end = shift + last * out.ld + width;
  const int64_t in_begin = int64_t{rows.begin} * in.ld, in_end = last * in.ld + size;
  if (out_begin >= in_end || in_begin >= out_end) return false;
  if (in.ld != out.ld || !has_rows) return true;
  // Row r of `out` begins in row r + floor(shift / ld) of `in`, maybe beside its elements.
  const int64_t column = shift - floor_divide(shift, in.ld) * in.ld;
  return column < size || column + width > in.ld;
}

[[noreturn]] void fail_operand(const GroupKernel& kernel, const char* what, size_t number,
                               const char* expected) {
  fail("expected ", expected, " for ", what, " ", number, " of the group '", kernel.name,
       "', got other ones than it was compiled for");
}

void check_input(const GroupKernel& kernel, size_t i, const DeviceCall& call) {
  const GroupOperand& printed = kernel.inputs[i];
  if (kernel.reads[i].read != Read::kShared && call.in[i].ld != printed.ld) {
    fail_operand(kernel, "input", i, "rows of the same distance");
  }
  const Table& table = call.tables[i];
  const bool right = kernel.reads[i].read == Read::kIndexed ? table.index != nullptr
                     : kernel.reads[i].read == Read::kListSum
                         ? table.ptr != nullptr && (table.list != nullptr) == printed.list &&
                               (table.part != nullptr) == printed.part
                         : true;
  if (!right) fail_operand(kernel, "input", i, "arrays of a table");
}

void check_output(const GroupKernel& kernel, size_t j, const DeviceCall& call) {
  if (call.out[j].ld != kernel.output_lds[j]) {
    fail_operand(kernel, "output", j, "rows of the same distance");
  }
  for (size_t i = 0; i < kernel.inputs.size(); ++i) {
    const Read read = kernel.reads[i].read;
    if (!kernel.used[i] || (read != Read::kRow && read != Read::kShared)) continue;
    if (collide(kernel, kernel.reads[i], call.in[i], call.out[j], call.rows)) {
      fail("expected output ", j, " of the group '", kernel.name, "' apart from input ", i,
           " or element on element, got memory that they share");
    }
  }
}

}  // namespace

std::string group_prelude() {
  return "#include \"cuda/kernels/group.h\"\n\nusing namespace cavs::cuda;\n\n";
}

GroupKernel print_group(const std::string& name, const Group& group, DType dtype,
                        const std::vector<GroupOperand>& inputs,
                        const std::vector<int>& output_lds) {
  if (inputs.size() != group.inputs.size() || output_lds.size() != group.outputs.size()) {
    fail("expected ", group.inputs.size(), " inputs and ", group.outputs.size(),
         " outputs for the group '", name, "', got ", inputs.size(), " and ", output_lds.size());
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
  size_t pointers = 0;
  each_pointer(kernel, [&](const char*, const std::string&) { ++pointers; });
  if (pointers > kMostPointers) {
    fail("expected a group of at most ", kMostPointers, " operands and tables for a kernel, got ",
         pointers);
  }
  kernel.text = Printer(group, kernel).text();
  return kernel;
}

std::vector<Address> group_arguments(const GroupKernel& group, const DeviceCall& call) {
  std::vector<Address> arguments;
  arguments.reserve(4 * group.inputs.size() + group.output_lds.size());
  // In the order of each_pointer().
  for (size_t i = 0; i < group.inputs.size(); ++i) {
    if (!group.used[i]) continue;
    check_input(group, i, call);
    arguments.push_back(address_of(call.in[i].data));
    const Table& table = call.tables[i];
    if (group.reads[i].read == Read::kIndexed) arguments.push_back(address_of(table.index));
    if (group.reads[i].read != Read::kListSum) continue;
    arguments.push_back(address_of(table.ptr));
    if (group.inputs[i].list) arguments.push_back(address_of(table.list));
    if (group.inputs[i].part) arguments.push_back(address_of(table.part));
  }
  for (size_t j = 0; j < group.output_lds.size(); ++j) {
    check_output(group, j, call);
    arguments.push_back(address_of(call.out[j].data));
  }
  return arguments;
}

void launch_group(const GroupKernel& group, const Kernel& kernel, const Stream& stream,
                  const DeviceCall& call) {
  const int64_t places = (int64_t{call.rows.end} - call.rows.begin) * (group.width / group.columns);
  if (places <= 0) return;
  const std::vector<Address> arguments = group_arguments(group, call);
  const int64_t blocks = std::min((places + kThreads - 1) / kThreads, kMostBlocks);
  kernel.launch(stream, {static_cast<unsigned>(blocks), kThreads, 0},
                Argument{arguments.data(), arguments.size() * sizeof(Address)}, call.rows);
}

}  // namespace cavs::cuda
