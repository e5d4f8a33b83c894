// How each kernel of program/kernels.cpp is launched on a GPU, by its name.
#pragma once

#include <cstddef>
#include <string>

#include "base/dtype.h"
#include "cuda/driver/gpus.h"
#include "cuda/kernels/call.h"
#include "program/program.h"

namespace cavs::cuda {

class Library;  // the kernels that all programs share, for one GPU and dtype: see library.h

// One instruction over some rows of its space. A levels segment makes one for each level; all else
// one for all rows. `rows` may be empty for instructions that sum over rows, which then write zeros
// (or go on from what their output holds).
struct DeviceCall {
  const Program* program = nullptr;
  const Instruction* instruction = nullptr;
  const Operand* in = nullptr;    // [instruction->inputs]
  const Operand* out = nullptr;   // [instruction->outputs]
  const Table* tables = nullptr;  // [instruction->inputs], or one for a kernel without inputs
  const Random* random = nullptr;
  Rows rows;
  Rows keys;            // of an attention: the rows of what it reads of children
  Address scratch = 0;  // of scratch_bytes(...) bytes, aligned to 256; in stream order
};

struct DeviceKernel {
  const char* name;
  // Puts the work on the stream; the GPU is current. Throws Error(kDevice).
  void (*launch)(Library& library, const Stream& stream, const DeviceCall& call);
  // Bytes of scratch that a call over `rows` rows needs; null for none.
  size_t (*scratch_bytes)(const Program& program, const Instruction& instruction,
                          int rows) = nullptr;
};

// Null for "fused", which each program has kernels of its own for (see group_source.h), and for
// names that the device does not know.
const DeviceKernel* find_device_kernel(const std::string& name);

}  // namespace cavs::cuda
