// Attention for machines with AVX2 and FMA.
#if defined(__x86_64__)
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa_avx2.cpp needs the flags -mavx2 -mfma"
#endif
#define CAVS_ATTENTION_ISA attention_avx2
#include "cpu/attention/kernels.inl.h"
#endif
