// Convolutions for any machine; compiled for the baseline of the architecture.
#define CAVS_CONVOLUTIONS convolutions_generic
#include "cpu/convolution/table.inl.h"
