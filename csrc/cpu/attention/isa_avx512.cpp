// Attention for machines with AVX-512.
#if defined(__x86_64__)
#if !defined(__AVX512F__) || !defined(__FMA__)
#error "isa_avx512.cpp needs the flags -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma"
#endif
#define CAVS_ATTENTION_ISA attention_avx512
#include "cpu/attention/kernels.inl.h"
#endif
