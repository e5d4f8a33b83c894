// The stream on which calls of a thread put their work.
#pragma once

#include <cstdint>

#include "cuda/driver/gpus.h"

namespace cavs::cuda {

// Of the calling thread, for a GPU: the stream of the engine, or one that was lent by
// set_current_stream, such as CuPy's or PyTorch's current stream.
const Stream& current_stream(OpenGpu& open);

// Whether work of two calls on these handles is in order: not on the "per-thread" stream, whose one
// name stands for another stream in each thread.
inline bool same_stream(StreamHandle a, StreamHandle b) {
  constexpr uintptr_t kPerThread = 2;  // CU_STREAM_PER_THREAD
  return a == b && reinterpret_cast<uintptr_t>(a) != kPerThread;
}

// `handle` null: the legacy default stream. Valid for the calling thread until the next call.
void set_current_stream(int ordinal, StreamHandle handle);
// From here on the engine's own stream again.
void reset_current_stream(int ordinal);

}  // namespace cavs::cuda
