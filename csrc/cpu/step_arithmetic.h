// The arithmetic of training steps by the CPU's kernels.
#pragma once

#include "runtime/step_arithmetic.h"

namespace cavs {

template <class T>
const StepArithmetic<T>& cpu_step_arithmetic();

// x += factor * y
template <class T>
void add_scaled(T* x, const T* y, double factor, int64_t n);

}  // namespace cavs
