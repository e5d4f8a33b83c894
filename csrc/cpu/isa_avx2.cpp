// The kernels for machines with AVX2 and FMA; compiled with -mavx2 -mfma.
#if defined(__x86_64__)
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa_avx2.cpp needs the flags -mavx2 -mfma"
#endif
#define CAVS_ISA_TABLE isa_table_avx2
#include "cpu/isa_table.inl.h"
#endif
