// The kernels of attention over children that each instruction set's object file offers, and what
// they are given beside operands. It offers nothing inline.
#pragma once

#include "base/dtype.h"
#include "cpu/isa_table.h"
#include "program/attributes.h"

namespace cavs {

// The tables of a call over graphs, behind those of its operands. Its rows are the graphs. A call
// over rows has those of AttentionTable there.
enum GraphTable {
  kParentTable,  // CSR: graph -> the vertices that may have queries, in the user's order
  kChildTable,   // CSR: graph -> the vertices among which children are counted; `index`: [vertex
                 // row] the place of its first child there; `part`: [graph] whether it is a run
  kAllTable,     // CSR: graph -> all of its vertices; `index`: first and last row of keys, and
                 // whether queries are those of inner vertices alone
  kEdgeTable,    // of dropout, empty without: where the numbers of edges in their graphs come from.
                 // `list`: [edge row] numbers of edges in the batch, or, with an `index`, [place of
                 // kChildTable] numbers of vertices, to which index[vertex row of the parent] is
                 // added; `ptr`: [graph] number of its first edge in the batch; `part`: lines of
                 // memory that dropout takes, and the one where bits begin
  kGraphTables,
};

constexpr int64_t kLine = 64;  // bytes

// The sizes of a kernel, and of the largest graph: vertices with queries, vertices among which
// children are counted, and the most children of a vertex.
struct AttentionWork {
  DType dtype;
  AttentionAttributes sizes;
  int64_t parents, children, arity;
  int64_t dropout_lines = 0;  // of memory, see kEdgeTable
};

constexpr int kAttentionKernels = 5;

struct AttentionIsa {
  const KernelEntry* kernels;              // [kAttentionKernels]
  int64_t (*bytes)(const AttentionWork&);  // of memory that a thread needs
};

const AttentionIsa& attention_generic();
#if defined(__x86_64__)
const AttentionIsa& attention_avx2();
const AttentionIsa& attention_avx512();
#endif

}  // namespace cavs
