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
#include "program/kernels.h"
#include "runtime/run.h"

namespace cavs_test {

using namespace cavs;

constexpr int64_t kWords = 50, kEmbedding = 5, kHidden = 18;

const Space kNone{SpaceKind::kNone, -1}, kVertex{SpaceKind::kVertex, -1},
    kEdge{SpaceKind::kEdge, -1}, kGraph{SpaceKind::kGraph, -1}, kOfWords{SpaceKind::kUnique, 0};

struct Builder {
  Program program;

  int value(const std::string& name, const Space& space, int64_t size, Role role = Role::kArena,
            int index = -1, int base = -1, int64_t column = 0) {
    ValueSpec spec;
    spec.name = name;
    spec.space = space;
    spec.size = size;
    spec.dtype = DType::kFloat64;
    spec.role = role;
    spec.index = index;
    spec.base = base;
    spec.column = column;
    program.values.push_back(spec);
    return static_cast<int>(program.values.size()) - 1;
  }

  void segment(SegmentKind kind, const Space& space) {
    program.segments.push_back({kind, space, {}});
  }

  Instruction& call(const std::string& kernel, std::vector<int> inputs, std::vector<int> outputs,
                    const std::vector<TableKind>& tables, Attributes attributes,
                    const Space& space) {
    Instruction instruction;
    instruction.kernel = kernel_named(kernel);
    instruction.inputs = std::move(inputs);
    instruction.outputs = std::move(outputs);
    for (const TableKind table : tables) instruction.tables.push_back({table});
    instruction.attributes = std::move(attributes);
    instruction.space = space;
    program.segments.back().instructions.push_back(std::move(instruction));
    return program.segments.back().instructions.back();
  }
};

// f(a + b), or f(a + b, c).
inline Group sum_and(const char* f, const std::vector<Read>& reads) {
  Group group;
  group.width = kHidden;
  for (const Read read : reads) group.inputs.push_back({read, false});
  const int sum = static_cast<int>(reads.size());
  group.calls.push_back({scalar_opcode("add"), {0, 1, -1}});
  group.calls.push_back({scalar_opcode(f), {sum, sum > 2 ? 2 : -1, -1}});
  group.outputs = {sum + 1};
  return group;
}

// Numbers of the forward program's values.
enum : int { kE, kW, kU, kIds, kX, kXw, kGathered, kProduct, kSum, kH, kHOut, kG, kAll, kLeft };

// The sum over children is written through a view (kLeft) into the first columns of kAll.
inline Program forward_program() {
  Builder b;
  b.program.dtype = DType::kFloat64;
  b.program.uniques.push_back({"word", {0}, {SpaceKind::kVertex}, 0, -1, {-1}});
  b.value("E", kNone, kWords * kEmbedding, Role::kParam, 0);
  b.value("W", kNone, kHidden * kEmbedding, Role::kParam, 1);
  b.value("U", kNone, kHidden * kHidden, Role::kParam, 2);
  b.value("ids", kOfWords, 1);
  b.program.values.back().dtype = DType::kInt32;
  b.value("x", kOfWords, kEmbedding);
  b.value("Wx", kOfWords, kHidden);
  b.value("h_child", kEdge, kHidden);
  b.value("Uh", kEdge, kHidden);
  b.value("sum", kVertex, kHidden, Role::kView, -1, kAll, 2);
  b.value("h", kVertex, kHidden);
  b.value("h", kVertex, kHidden, Role::kOutput, 0);
  b.value("g", kGraph, kHidden, Role::kOutput, 1);
  b.value("all", kVertex, kHidden + 2);
  b.value("left", kVertex, kHidden, Role::kView, -1, kSum, 0);

  b.segment(SegmentKind::kRows, kOfWords);
  b.call("unique_ids", {}, {kIds}, {TableKind::kUniqueIds}, {}, kOfWords);
  b.call("embedding", {kE, kIds}, {kX}, {}, EmbeddingAttributes{kWords, kEmbedding}, kOfWords);
  b.call("matmul", {kX, kW}, {kXw}, {}, MatmulAttributes{false, true, 1, kEmbedding, kHidden},
         kOfWords);
  b.segment(SegmentKind::kLevels, kVertex);
  b.call("take", {kH}, {kGathered}, {TableKind::kChild}, {}, kEdge);
  b.call("matmul", {kGathered, kU}, {kProduct}, {},
         MatmulAttributes{false, true, 1, kHidden, kHidden}, kEdge);
  b.call("segment_sum", {kProduct}, {kLeft}, {TableKind::kChildren}, {}, kVertex);
  b.call("fused", {kXw, kSum}, {kH}, {TableKind::kUnique, TableKind::kNone},
         sum_and("tanh", {Read::kIndexed, Read::kRow}), kVertex);
  b.segment(SegmentKind::kRows, kVertex);
  b.call("store", {kH}, {kHOut}, {TableKind::kVertexOrder}, {}, kVertex);
  b.segment(SegmentKind::kRows, kGraph);
  b.call("segment_sum", {kH}, {kG}, {TableKind::kGraphVertices}, {}, kGraph);
  b.program.saved = {kX, kH};
  return b.program;
}

// From d h (input 0) to the gradients of U, W (outputs 0, 1) and of E by distinct ids (2, 3).
inline Program backward_program(const Program& forward) {
  Builder b;
  b.program = forward;
  b.program.segments.clear();
  b.program.saved.clear();
  const int dh_in = b.value("dh", kVertex, kHidden, Role::kInput, 0);
  const int dh_own = b.value("dh own", kVertex, kHidden);
  const int dh_up = b.value("dh up", kVertex, kHidden);
  const int dz = b.value("dz", kVertex, kHidden);
  const int de = b.value("de", kEdge, kHidden);
  const int dgathered = b.value("dh_child", kEdge, kHidden);
  const int gathered = b.value("h_child", kEdge, kHidden);
  const int du = b.value("dU", kNone, kHidden * kHidden, Role::kOutput, 0);
  const int dw = b.value("dW", kNone, kHidden * kEmbedding, Role::kOutput, 1);
  const int dxw = b.value("dWx", kOfWords, kHidden);
  const int dx = b.value("dE", kOfWords, kEmbedding, Role::kOutput, 2);
  const int ids = b.value("ids", kOfWords, 1, Role::kOutput, 3);
  b.program.values.back().dtype = DType::kInt32;

  b.segment(SegmentKind::kRows, kVertex);
  b.call("load", {dh_in}, {dh_own}, {TableKind::kVertexOrder}, LoadAttributes{}, kVertex);
  b.segment(SegmentKind::kLevels, kVertex);
  b.call("segment_sum", {dgathered}, {dh_up}, {TableKind::kParents}, {}, kVertex);
  b.call("fused", {dh_own, dh_up, kH}, {dz}, std::vector<TableKind>(3),
         sum_and("tanh_grad", {Read::kRow, Read::kRow, Read::kRow}), kVertex);
  b.call("take", {dz}, {de}, {TableKind::kParent}, {}, kEdge);
  b.call("matmul", {de, kU}, {dgathered}, {}, MatmulAttributes{false, false, 1, kHidden, kHidden},
         kEdge);
  b.segment(SegmentKind::kRows, kVertex);
  b.call("take", {kH}, {gathered}, {TableKind::kChild}, {}, kEdge);
  b.segment(SegmentKind::kGlobal, kNone);
  b.call("matmul_reduce", {de, gathered}, {du}, {},
         MatmulAttributes{true, false, kHidden, 1, kHidden}, kEdge);
  b.segment(SegmentKind::kRows, kOfWords);
  b.call("unique_ids", {}, {ids}, {TableKind::kUniqueIds}, {}, kOfWords);
  b.call("segment_sum", {dz}, {dxw}, {TableKind::kUniqueRows}, {}, kOfWords);
  b.call("matmul", {dxw, kW}, {dx}, {}, MatmulAttributes{false, false, 1, kHidden, kEmbedding},
         kOfWords);
  b.segment(SegmentKind::kGlobal, kNone);
  b.call("matmul_reduce", {dxw, kX}, {dw}, {},
         MatmulAttributes{true, false, kHidden, 1, kEmbedding}, kOfWords);
  return b.program;
}

// Products as plain loops: the real ones need a BLAS library, which the runtime knows nothing of.
inline double product_at(const KernelCall& call, int64_t r, int64_t i, int64_t j) {
  const auto& [ta, tb, m, k, n] = *static_cast<const MatmulAttributes*>(call.attributes);
  const double *a = call.in[0].row<double>(r), *b = call.in[1].row<double>(r);
  double sum = 0;
  for (int64_t l = 0; l < k; ++l) {
    sum += a[ta ? l * m + i : i * k + l] * b[tb ? j * k + l : l * n + j];
  }
  return sum;
}

inline void plain_matmul(const KernelCall& call) {
  const auto& product = *static_cast<const MatmulAttributes*>(call.attributes);
  const int64_t m = product.m, n = product.n;
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    double* c = call.out[0].row<double>(r);
    for (int64_t i = 0; i < m * n; ++i) c[i] = product_at(call, r, i / n, i % n);
  }
}

inline void plain_matmul_reduce(const KernelCall& call) {
  const auto& product = *static_cast<const MatmulAttributes*>(call.attributes);
  const int64_t m = product.m, n = product.n;
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
    if (call.instruction->kernel == kernel_named("matmul")) call.function = plain_matmul;
    if (call.instruction->kernel == kernel_named("matmul_reduce"))
      call.function = plain_matmul_reduce;
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
