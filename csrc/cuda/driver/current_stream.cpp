// Remembers the streams that callers lent, thread by thread.
#include "cuda/driver/current_stream.h"

#include <map>
#include <memory>

namespace cavs::cuda {
namespace {

std::map<int, std::unique_ptr<const Stream>>& lent_streams() {
  thread_local std::map<int, std::unique_ptr<const Stream>> streams;
  return streams;
}

}  // namespace

const Stream& current_stream(OpenGpu& open) {
  const auto& lent = lent_streams();
  const auto found = lent.find(open.ordinal);
  return found == lent.end() ? open.stream : *found->second;
}

void set_current_stream(int ordinal, StreamHandle handle) {
  std::unique_ptr<const Stream>& lent = lent_streams()[ordinal];
  if (!lent || lent->handle() != handle) lent = std::make_unique<const Stream>(handle);
}

void reset_current_stream(int ordinal) { lent_streams().erase(ordinal); }

}  // namespace cavs::cuda
