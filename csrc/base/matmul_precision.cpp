// Keeps the precision that products of matrices may be computed in.
#include "base/matmul_precision.h"

#include <atomic>

namespace cavs {
namespace {

std::atomic<bool> tf32{false};

}  // namespace

bool uses_tf32() { return tf32.load(std::memory_order_relaxed); }
void set_uses_tf32(bool enabled) { tf32.store(enabled, std::memory_order_relaxed); }

}  // namespace cavs
