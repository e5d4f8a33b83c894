// Attention for any machine.
#define CAVS_ATTENTION_ISA attention_generic
#include "cpu/attention/kernels.inl.h"
