// The devices that programs run on; each kind is a room of its own under csrc/.
#pragma once

#include <cstdint>
#include <string>

namespace cavs {

enum class DeviceKind : uint8_t { kCpu, kCuda };

struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int ordinal = 0;  // among the devices of its kind
};

inline bool operator==(const Device& a, const Device& b) {
  return a.kind == b.kind && a.ordinal == b.ordinal;
}
// As users name it: "cpu", "cuda:0".
inline std::string device_name(const Device& device) {
  return device.kind == DeviceKind::kCpu ? "cpu" : "cuda:" + std::to_string(device.ordinal);
}

inline bool operator!=(const Device& a, const Device& b) { return !(a == b); }

}  // namespace cavs
