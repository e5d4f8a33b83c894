// What the launches of the kernels over rows share, and the kernels by their kind.
#pragma once

#include <vector>

#include "cuda/code/library.h"
#include "cuda/kernels/row_calls.h"
#include "cuda/launches/launch.h"
#include "program/kernels.h"

namespace cavs::cuda {

// These kernels of the table, in files of these names.
const std::vector<DeviceKernel>& move_kernels();
const std::vector<DeviceKernel>& segment_kernels();
const std::vector<DeviceKernel>& along_kernels();
const std::vector<DeviceKernel>& line_kernels();
const std::vector<DeviceKernel>& pool_kernels();
const std::vector<DeviceKernel>& shape_kernels();
const std::vector<DeviceKernel>& convolution_kernels();
const std::vector<DeviceKernel>& random_kernels();
const std::vector<DeviceKernel>& attention_kernels();
// Writes the seed and the step that the launches of these kernels read.
void note_random_state(Library& library, const Stream& stream, Address to,
                       const RandomState& state);

template <class T>
const T& attributes_of(const DeviceCall& call) {
  return std::get<T>(call.instruction->attributes);
}

// Parts of `b` that `a` things make.
inline int64_t divided(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Few threads of a block stand idle, and those of a warp along a row where it is long enough.
Tiling tiling_of(int columns);

// Blocks for `count` pieces of work, of which a block does `each` at a time: no more than the GPU
// holds at once, since kernels take the rest in turn.
unsigned blocks_for(const Library& library, long long count, long long each);
unsigned blocks_for(const Library& library, Rows rows, const Tiling& tiling);

// log2 of the threads that take `length` adjacent elements together (see kernels/crew.h). It
// depends on the length alone, and so do the bits of a sum.
int crew_shift(DType dtype, int length);

// A kernel of "along" whose lines do not stand one after the other.
void launch_columns(Library& library, const Stream& stream, const DeviceCall& call);

// What "copy" does.
void copy_rows(Library& library, const Stream& stream, const DeviceCall& call);

// `call` is the struct that the kernel takes.
template <class T>
void launch(Library& library, const Stream& stream, const char* unit, const char* name,
            unsigned blocks, const T& call) {
  library.launch(stream, unit, name, {blocks, kThreads, 0}, Argument{&call, sizeof(call)});
}

}  // namespace cavs::cuda
