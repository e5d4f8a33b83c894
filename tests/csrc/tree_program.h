// A tree network as the runtime's tests write it by hand, over every kind of space and segment:
//   x = W embedding[word];  h = tanh(x + sum over children of U h_child);  g = sum over a graph of
//   h.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "cpu/kernel.h"
#include "cpu/prepared.h"
#include "graph/graph_batch.h"
#include "graph/schedule.h"
#include "program/text.h"
#include "runtime/run.h"

namespace cavs_test {

using namespace cavs;

constexpr int64_t kWords = 50, kEmbedding = 5, kHidden = 18;

struct Builder {
  Program program;

  Space space(const std::string& name) const {
    return name == "words" ? Space{SpaceKind::kUnique, 0} : parse_space(name);
  }

  int value(const std::string& name, const std::string& over, int64_t size,
            const std::string& role = "arena", int index = -1, int base = -1, int64_t column = 0) {
    ValueSpec spec;
    spec.name = name;
    spec.space = space(over);
    spec.size = size;
    spec.dtype = DType::kFloat64;
    spec.role = parse_role(role);
    spec.index = index;
    spec.base = base;
    spec.column = column;
    program.values.push_back(spec);
    return static_cast<int>(program.values.size()) - 1;
  }

  void segment(const std::string& kind, const std::string& over) {
    program.segments.push_back({parse_segment_kind(kind), space(over), {}});
  }

  Instruction& call(const std::string& kernel, std::vector<int> inputs, std::vector<int> outputs,
                    const std::vector<std::string>& tables, std::vector<int64_t> ints,
                    const std::string& over) {
    Instruction instruction;
    instruction.kernel = kernel;
    instruction.inputs = std::move(inputs);
    instruction.outputs = std::move(outputs);
    for (const auto& table : tables) {
      instruction.tables.push_back(parse_table(table));
    }
    instruction.ints = std::move(ints);
    instruction.space = space(over);
    program.segments.back().instructions.push_back(std::move(instruction));
    return program.segments.back().instructions.back();
  }
};

// Numbers of the forward program's values.
enum : int { kE, kW, kU, kIds, kX, kXw, kGathered, kProduct, kSum, kH, kHOut, kG, kAll, kLeft };

// The sum over children is written through a view (kLeft) into the first columns of kAll.
inline Program forward_program() {
  Builder b;
  b.program.dtype = DType::kFloat64;
  b.program.uniques.push_back({"word", {0}, {SpaceKind::kVertex, -1}, 0, -1});
  b.value("E", "none", kWords * kEmbedding, "param", 0);
  b.value("W", "none", kHidden * kEmbedding, "param", 1);
  b.value("U", "none", kHidden * kHidden, "param", 2);
  b.value("ids", "words", 1);
  b.program.values.back().dtype = DType::kInt32;
  b.value("x", "words", kEmbedding);
  b.value("Wx", "words", kHidden);
  b.value("h_child", "edge", kHidden);
  b.value("Uh", "edge", kHidden);
  b.value("sum", "vertex", kHidden, "view", -1, kAll, 2);
  b.value("h", "vertex", kHidden);
  b.value("h", "vertex", kHidden, "output", 0);
  b.value("g", "graph", kHidden, "output", 1);
  b.value("all", "vertex", kHidden + 2);
  b.value("left", "vertex", kHidden, "view", -1, kSum, 0);

  b.segment("rows", "words");
  b.call("unique_ids", {}, {kIds}, {"unique_ids"}, {}, "words");
  b.call("embedding", {kE, kIds}, {kX}, {"", ""}, {kWords, kEmbedding}, "words");
  b.call("matmul", {kX, kW}, {kXw}, {}, {0, 1, 1, kEmbedding, kHidden}, "words");
  b.segment("levels", "vertex");
  b.call("take", {kH}, {kGathered}, {"child"}, {}, "edge");
  b.call("matmul", {kGathered, kU}, {kProduct}, {}, {0, 1, 1, kHidden, kHidden}, "edge");
  b.call("segment_sum", {kProduct}, {kLeft}, {"children"}, {}, "vertex");
  b.call(
      "fused", {kXw, kSum}, {kH}, {"unique", ""},
      {kHidden, 1, 2, scalar_opcode("add"), 0, 0, 1, -1, scalar_opcode("tanh"), 0, 2, -1, -1, 1, 0},
      "vertex");
  b.segment("rows", "vertex");
  b.call("store", {kH}, {kHOut}, {"vertex_order"}, {}, "vertex");
  b.segment("rows", "graph");
  b.call("segment_sum", {kH}, {kG}, {"graph_vertices"}, {}, "graph");
  b.program.saved = {kX, kH};
  return b.program;
}

// From d h (input 0) to the gradients of U, W (outputs 0, 1) and of E by distinct ids (2, 3).
inline Program backward_program(const Program& forward) {
  Builder b;
  b.program = forward;
  b.program.segments.clear();
  b.program.saved.clear();
  const int dh_in = b.value("dh", "vertex", kHidden, "input", 0);
  const int dh_own = b.value("dh own", "vertex", kHidden);
  const int dh_up = b.value("dh up", "vertex", kHidden);
  const int dz = b.value("dz", "vertex", kHidden);
  const int de = b.value("de", "edge", kHidden);
  const int dgathered = b.value("dh_child", "edge", kHidden);
  const int gathered = b.value("h_child", "edge", kHidden);
  const int du = b.value("dU", "none", kHidden * kHidden, "output", 0);
  const int dw = b.value("dW", "none", kHidden * kEmbedding, "output", 1);
  const int dxw = b.value("dWx", "words", kHidden);
  const int dx = b.value("dE", "words", kEmbedding, "output", 2);
  const int ids = b.value("ids", "words", 1, "output", 3);
  b.program.values.back().dtype = DType::kInt32;

  b.segment("rows", "vertex");
  b.call("load", {dh_in}, {dh_own}, {"vertex_order"}, {0}, "vertex");
  b.segment("levels", "vertex");
  b.call("segment_sum", {dgathered}, {dh_up}, {"parents"}, {}, "vertex");
  b.call("fused", {dh_own, dh_up, kH}, {dz}, {"", "", ""},
         {kHidden, 1, 2, scalar_opcode("add"), 0, 0, 1, -1, scalar_opcode("tanh_grad"), 0, 3, 2, -1,
          1, 0},
         "vertex");
  b.call("take", {dz}, {de}, {"parent"}, {}, "edge");
  b.call("matmul", {de, kU}, {dgathered}, {}, {0, 0, 1, kHidden, kHidden}, "edge");
  b.segment("rows", "vertex");
  b.call("take", {kH}, {gathered}, {"child"}, {}, "edge");
  b.segment("global", "none");
  b.call("matmul_reduce", {de, gathered}, {du}, {}, {1, 0, kHidden, 1, kHidden}, "edge");
  b.segment("rows", "words");
  b.call("unique_ids", {}, {ids}, {"unique_ids"}, {}, "words");
  b.call("segment_sum", {dz}, {dxw}, {"unique_rows"}, {}, "words");
  b.call("matmul", {dxw, kW}, {dx}, {}, {0, 0, 1, kHidden, kEmbedding}, "words");
  b.segment("global", "none");
  b.call("matmul_reduce", {dxw, kX}, {dw}, {}, {1, 0, kHidden, 1, kEmbedding}, "words");
  return b.program;
}

// Products as plain loops: the real ones need a BLAS library, which the runtime knows nothing of.
inline double product_at(const KernelCall& call, int64_t r, int64_t i, int64_t j) {
  const int64_t *ints = call.ints, m = ints[2], k = ints[3], n = ints[4];
  const double *a = call.in[0].row<double>(r), *b = call.in[1].row<double>(r);
  double sum = 0;
  for (int64_t l = 0; l < k; ++l) {
    sum += a[ints[0] != 0 ? l * m + i : i * k + l] * b[ints[1] != 0 ? j * k + l : l * n + j];
  }
  return sum;
}

inline void plain_matmul(const KernelCall& call) {
  const int64_t m = call.ints[2], n = call.ints[4];
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    double* c = call.out[0].row<double>(r);
    for (int64_t i = 0; i < m * n; ++i) c[i] = product_at(call, r, i / n, i % n);
  }
}

inline void plain_matmul_reduce(const KernelCall& call) {
  const int64_t m = call.ints[2], n = call.ints[4];
  double* c = call.out[0].row<double>(0);
  for (int64_t i = call.thread; i < m * n; i += call.num_threads) {
    c[i] = 0;
    for (int64_t r = call.row_begin; r < call.row_end; ++r)
      c[i] += product_at(call, r, i / n, i % n);
  }
}

using ExecutablePtr = std::shared_ptr<const Executable>;

// The calls of a program that was made for the CPU, to put other kernels into them.
inline std::vector<PreparedCall>& calls_of(const Executable& exe) {
  return const_cast<CpuProgram&>(cpu_program(exe)).calls;
}

inline ExecutablePtr load(Program program, ExecutablePtr forward = nullptr) {
  ExecutablePtr exe = make_executable(std::move(program), std::move(forward));
  for (PreparedCall& call : calls_of(*exe)) {
    if (call.instruction->kernel == "matmul") call.function = plain_matmul;
    if (call.instruction->kernel == "matmul_reduce") call.function = plain_matmul_reduce;
  }
  return exe;
}

using Doubles = std::vector<double>;

inline Doubles random_doubles(int64_t count, std::mt19937& random) {
  std::uniform_real_distribution<double> uniform(-0.5, 0.5);
  Doubles values(static_cast<size_t>(count));
  for (double& value : values) value = uniform(random);
  return values;
}

// Random graphs whose vertices have any number of earlier vertices as children, some more than
// once.
inline GraphBatch random_batch(int num_graphs, int max_vertices, std::mt19937& random) {
  std::vector<int64_t> ptr{0}, child_ptr{0}, children;
  for (int g = 0; g < num_graphs; ++g) {
    const int count = 1 + static_cast<int>(random() % static_cast<unsigned>(max_vertices));
    for (int v = 0; v < count; ++v) {
      const int arity = v == 0 ? 0 : static_cast<int>(random() % 4);
      for (int k = 0; k < arity; ++k) children.push_back(random() % static_cast<unsigned>(v));
      child_ptr.push_back(static_cast<int64_t>(children.size()));
    }
    ptr.push_back(ptr.back() + count);
  }
  return make_graph_batch(ptr, child_ptr, children);
}

inline ExternalArray external(Doubles& values) {
  return {values.data(), static_cast<int64_t>(values.size()), DType::kFloat64};
}

inline ExternalArray external(std::vector<int32_t>& values) {
  return {values.data(), static_cast<int64_t>(values.size()), DType::kInt32};
}

}  // namespace cavs_test
