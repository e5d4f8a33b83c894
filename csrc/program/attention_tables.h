// The tables that kernels of attention have beside those of their operands.
#pragma once

namespace cavs {

// Behind the tables of the operands, of a kernel that goes over rows. The last two are of gradients
// of keys and values alone.
enum AttentionTable {
  kEdgeChildren,  // CSR vertex -> its children; the edges to them have the same numbers
  kOutEdges,      // CSR vertex -> the edges in which it is the child
  kEdgeParents,   // edge -> its parent
  kAttentionTables,
};

}  // namespace cavs
