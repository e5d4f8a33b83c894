// The stream on which calls of a thread put their work.
#pragma once

#include "cuda/gpus.h"

namespace cavs::cuda {

// Of the calling thread, for a GPU: the stream of the engine, or one that was lent by
// set_current_stream, such as CuPy's or PyTorch's current stream.
const Stream& current_stream(OpenGpu& open);

// `handle` null: the legacy default stream. Valid for the calling thread until the next call.
void set_current_stream(int ordinal, StreamHandle handle);
// From here on the engine's own stream again.
void reset_current_stream(int ordinal);

}  // namespace cavs::cuda
