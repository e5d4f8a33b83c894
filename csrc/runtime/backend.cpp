// Finds the backend of a device, or names the backends of this build.
#include "runtime/backend.h"

#include "base/error.h"
#include "runtime/later_step.h"

namespace cavs {
namespace {

// The number after "cuda:", or -1 where the name is not written so.
int ordinal_in(const std::string& name) {
  const std::string start = "cuda:";
  if (name == "cuda") return 0;
  if (name.rfind(start, 0) != 0 || name.size() > start.size() + 4) return -1;
  int number = name.size() == start.size() ? -1 : 0;
  for (size_t i = start.size(); i < name.size() && number >= 0; ++i) {
    number = name[i] >= '0' && name[i] <= '9' ? number * 10 + (name[i] - '0') : -1;
  }
  return number;
}

}  // namespace

std::shared_ptr<const Staged> Backend::stage(const Executable&, bool, const RowCounts&,
                                             const Schedule&) const {
  static const auto* const nothing = new std::shared_ptr<const Staged>(new Staged);
  return *nothing;
}

std::unique_ptr<LaterStep<float>> Backend::later_step(float) const { return nullptr; }
std::unique_ptr<LaterStep<double>> Backend::later_step(double) const { return nullptr; }

Backend& backend_of(Device device) {
  return device.kind == DeviceKind::kCpu ? *cpu_backend() : cuda_backend(device.ordinal);
}

Device device_named(const std::string& name) {
  if (name == "cpu") return {};
  const int ordinal = ordinal_in(name);
  CAVS_CHECK(ordinal >= 0, ErrorKind::kValue,
             "[compile] expected device 'cpu', 'cuda' or 'cuda:1', got '", name,
             "'; pass one of these");
  return {DeviceKind::kCuda, ordinal};
}

std::vector<Backend*> backends() {
  std::vector<Backend*> all = open_cuda_backends();
  all.insert(all.begin(), cpu_backend());
  return all;
}

}  // namespace cavs
