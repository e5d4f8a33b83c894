// Convolutions for machines with AVX2 and FMA; compiled with -mavx2 -mfma.
#if defined(__x86_64__)
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa_avx2.cpp needs the flags -mavx2 -mfma"
#endif
#define CAVS_CONVOLUTIONS convolutions_avx2
#include "cpu/convolution/table.inl.h"
#endif
