// Convolutions for machines with AVX-512; compiled with the flags of cpu/isa_avx512.cpp.
#if defined(__x86_64__)
#if !defined(__AVX512F__) || !defined(__FMA__)
#error "isa_avx512.cpp needs the flags -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma"
#endif
#define CAVS_CONVOLUTIONS convolutions_avx512
#include "cpu/convolution/table.inl.h"
#endif
