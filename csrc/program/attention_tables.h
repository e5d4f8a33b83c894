// The tables that kernels of attention have beside those of their operands.
#pragma once

namespace cavs {

// Behind the tables of the operands, of a kernel that goes over rows.
enum AttentionTable {
  kOutEdges,      // CSR vertex -> the edges in which it is the child
  kEdgeParents,   // edge -> its parent
  kEdgeChildren,  // CSR vertex -> its children; the edges to them have the same numbers
  kAttentionTables,
};

}  // namespace cavs
