// Launches of the kernels of attention over children.
#include "cuda/kernels/attention_call.h"
#include "cuda/launches/row_launches.h"
#include "program/attention_check.h"

namespace cavs::cuda {
namespace {

void set_dropout(AttentionCall* made, const DeviceCall& call) {
  const AttentionAttributes& told = sizes_of_attention(*call.instruction);
  const Random& random = *call.random;
  if (told.zeroed == 0 || random.edges == nullptr) return;
  WeightDropout& dropout = made->dropout;
  dropout.state = random.state;
  dropout.graph_key = random.graph_key;
  dropout.graph = random.vertices.graph;
  dropout.local = random.edges[edges_of_attention(*call.program, *call.instruction)].local;
  dropout.op = told.key;
  dropout.zeroed = static_cast<int>(told.zeroed);
}

AttentionCall call_of(const DeviceCall& call) {
  const Instruction& instruction = *call.instruction;
  const AttentionAttributes& sizes = sizes_of_attention(instruction);
  const size_t key = key_of(instruction), inputs = instruction.inputs.size();
  AttentionCall made;
  made.q = call.in[key - 1];
  made.k = call.in[key];
  made.v = call.in[key + 1];
  if (sizes.positions > 0) made.position = call.in[key + 2];
  if (sizes.biases > 0) made.bias = call.in[inputs - 1];
  const Table* own = call.tables + inputs;
  made.child_ptr = own[kEdgeChildren].ptr;
  made.child = own[kEdgeChildren].list;
  if (sizes.children) {
    made.out_ptr = own[kOutEdges].ptr;
    made.out_edge = own[kOutEdges].list;
    made.parent = own[kEdgeParents].index;
  }
  made.heads = static_cast<int>(sizes.heads);
  made.size = static_cast<int>(sizes.size);
  made.values = static_cast<int>(sizes.values);
  made.positions = static_cast<int>(sizes.positions);
  made.biases = static_cast<int>(sizes.biases);
  made.rows = call.rows;
  set_dropout(&made, call);
  return made;
}

void launch_parts(Library& library, const Stream& stream, const char* name,
                  const AttentionCall& call, int parts) {
  const long long rows = static_cast<long long>(call.rows.end) - call.rows.begin;
  if (rows <= 0) return;
  launch(library, stream, "attention", name, blocks_for(library, rows * parts, kThreads), call);
}

void attention(Library& library, const Stream& stream, const DeviceCall& call) {
  AttentionCall made = call_of(call);
  made.result = call.out[0];
  launch_parts(library, stream, "attention", made, made.heads);
}

// A launch for each gradient.
void attention_grad(Library& library, const Stream& stream, const DeviceCall& call) {
  const AttentionAttributes& sizes = sizes_of_attention(*call.instruction);
  AttentionCall made = call_of(call);
  made.d_out = call.in[0];
  made.result = call.in[1];
  const Operand* out = call.out;
  if (sizes.query) {
    made.d_query = *out++;
    launch_parts(library, stream, "attention_by_query", made, made.heads);
  }
  if (sizes.children) {
    AttentionCall of_children = made;
    of_children.d_children = *out++;
    if (goes_over_graphs(*call.instruction)) of_children.rows = call.keys;
    launch_parts(library, stream, "attention_by_children", of_children, made.heads);
  }
  if (sizes.bias) {
    made.d_bias = *out++;
    launch_parts(library, stream, "attention_by_bias", made, made.biases);
  }
}

}  // namespace

const std::vector<DeviceKernel>& attention_kernels() {
  static const auto* const table = new std::vector<DeviceKernel>{
      {"attention", attention},
      {"attention_grad", attention_grad},
      {"level_attention", attention},
      {"level_attention_children", attention_grad},
      {"level_attention_grad", attention_grad},
  };
  return *table;
}

}  // namespace cavs::cuda
