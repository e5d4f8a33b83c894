// The kernels for any machine of this architecture.
#define CAVS_ISA_TABLE isa_table_generic
#include "cpu/isa_table.inl.h"
