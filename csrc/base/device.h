// The devices that programs run on; each is a room of its own under csrc/.
#pragma once

#include <cstdint>

namespace cavs {

enum class Device : uint8_t { kCpu, kCuda };

}  // namespace cavs
