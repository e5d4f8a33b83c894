// Finds the backend of a device, or names the backends of this build.
#include "runtime/backend.h"

#include "base/error.h"

namespace cavs {
namespace {

struct Room {
  Device device;
  const char* name;
  Backend* (*backend)();
};

constexpr Room kRooms[] = {{Device::kCpu, "cpu", cpu_backend},
                           {Device::kCuda, "cuda", cuda_backend}};

[[noreturn]] void refuse(const std::string& name) {
  std::string known;
  for (const Room& room : kRooms) {
    if (room.backend() != nullptr)
      known += std::string(known.empty() ? "'" : " or '") + room.name + "'";
  }
  fail(ErrorKind::kValue, "[compile] expected device ", known, ", got '", name,
       "', for which no backend is built; use device='cpu'");
}

}  // namespace

Backend& backend_of(Device device) {
  for (const Room& room : kRooms) {
    if (room.device != device) continue;
    if (Backend* const backend = room.backend()) return *backend;
    refuse(room.name);
  }
  refuse("another");
}

Device device_named(const std::string& name) {
  for (const Room& room : kRooms) {
    if (name == room.name && room.backend() != nullptr) return room.device;
  }
  refuse(name);
}

std::vector<Backend*> backends() {
  std::vector<Backend*> found;
  for (const Room& room : kRooms) {
    if (Backend* const backend = room.backend()) found.push_back(backend);
  }
  return found;
}

}  // namespace cavs
