// The GPUs as Python needs them besides runs: whether there are any, waiting for them, and memory
// of an emulated one, which stands where CuPy's arrays stand on a real one.
#include <dlfcn.h>
#include <pybind11/numpy.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/device_arrays.h"
#include "bindings/unlocked.h"
#include "cuda/driver/current_stream.h"
#include "cuda/driver/gpus.h"
#include "cuda/launches/array_rows.h"

namespace py = pybind11;

namespace cavs {
namespace {

// What `ask` says of a library; a line that begins with "none" where the library is missing.
template <class Ask>
std::string version_or_reason(const Ask& ask) {
  try {
    return ask();
  } catch (const Error& error) {
    return std::string("none: ") + error.what();
  }
}

std::string driver_version() {
  int number = 0;
  cuda::check(cuda::driver().cuDriverGetVersion(&number), "the driver's version");
  return cuda::version_text(number);
}

std::string nvrtc_version() {
  int major = 0, minor = 0;
  cuda::check(cuda::nvrtc().nvrtcVersion(&major, &minor), "NVRTC's version");
  return std::to_string(major) + "." + std::to_string(minor);
}

// Not in the list of driver.h: it serves this line alone, and the emulated library has none.
std::string cublas_version() {
  const std::string file = cuda::file_of(reinterpret_cast<void*>(cuda::blas().cublasCreate));
  void* library = file.empty() ? nullptr : dlopen(file.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr) return "unknown";
  const auto property = reinterpret_cast<int (*)(int, int*)>(dlsym(library, "cublasGetProperty"));
  std::string version;
  for (int part = 0; property != nullptr && part < 3; ++part) {
    int value = 0;
    property(part, &value);
    version += (part > 0 ? "." : "") + std::to_string(value);
  }
  dlclose(library);
  return version.empty() ? "emulated" : version;
}

py::dict versions() {
  py::dict found;
  found["driver"] = version_or_reason(&driver_version);
  found["NVRTC"] = version_or_reason(&nvrtc_version);
  found["cuBLAS"] = version_or_reason(&cublas_version);
  return found;
}

py::dict device_info(int ordinal) {
  const cuda::CurrentGpu open(ordinal);
  size_t free_bytes = 0, total_bytes = 0;
  cuda::check(cuda::driver().cuMemGetInfo(&free_bytes, &total_bytes), "the device's memory");
  py::dict found;
  found["name"] = open->gpu.name();
  found["architecture"] = open->gpu.architecture();
  found["processors"] = open->gpu.processors();
  found["total_bytes"] = total_bytes;
  found["free_bytes"] = free_bytes;
  return found;
}

void synchronize(int ordinal) {
  const Unlocked unlocked;
  const cuda::CurrentGpu open(ordinal);
  open->synchronize();
}

// Memory of a device, taken here or lent by an object that keeps it alive. What is taken ends in
// the order of the engine's stream, on which all its users work, or the host, which waits for the
// device first.
class Memory {
 public:
  Memory(int ordinal, size_t bytes) : open_(*cuda::CurrentGpu(ordinal)), bytes_(bytes) {
    const cuda::CurrentGpu current(ordinal);
    // The driver gives none of no bytes, and an array without elements needs an address too.
    block_ = std::make_unique<cuda::DeviceBlock>(open_.stream, bytes == 0 ? 1 : bytes);
    address_ = block_->address();
  }
  Memory(int ordinal, size_t bytes, cuda::Address address, py::object owner)
      : open_(*cuda::CurrentGpu(ordinal)),
        bytes_(bytes),
        address_(address),
        owner_(std::move(owner)) {}
  ~Memory() {
    try {
      const cuda::CurrentGpu current(open_.ordinal);
      block_.reset();
    } catch (const std::exception&) {
      static_cast<void>(block_.release());  // the device has failed, or the process ends
    }
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  cuda::Address address() const { return address_; }
  size_t bytes() const { return bytes_; }
  int ordinal() const { return open_.ordinal; }
  py::object owner() const { return owner_; }

  // The bytes for the host, whose memory an emulated device's is.
  py::buffer_info host_bytes() const {
    CAVS_CHECK(cuda::is_emulated(), ErrorKind::kDevice,
               "[cuda] expected memory of an emulated device, got a GPU's; copy it to the host");
    return {reinterpret_cast<void*>(address_),  1,  py::format_descriptor<uint8_t>::format(), 1,
            {static_cast<py::ssize_t>(bytes_)}, {1}};
  }

 private:
  cuda::OpenGpu& open_;
  size_t bytes_;
  cuda::Address address_ = 0;
  std::unique_ptr<cuda::DeviceBlock> block_;
  py::object owner_ = py::none();
};

// The host is about to use memory of an emulated device in place, or has done so.
void use_on_host(bool begin) {
  static const auto use =
      reinterpret_cast<void (*)(int)>(cuda::emulator_function("cavs_emulator_host_use"));
  if (use != nullptr) use(begin ? 1 : 0);
}

DType dtype_named(const std::string& name) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kInt32}) {
    if (name == dtype_name(dtype)) return dtype;
  }
  fail(ErrorKind::kValue, "[cuda] expected float32, float64 or int32, got ", name,
       "; convert the array");
}

// On the stream of the calling thread.
void reduce_rows(int ordinal, const std::string& reduction, const std::string& dtype,
                 cuda::Address out, cuda::Address rows, cuda::Address order, cuda::Address starts,
                 int segments, int width) {
  const cuda::RowLists lists = {dtype_named(dtype), out, rows, order, starts, segments, width};
  const auto kind = reduction == "max" ? cuda::Reduction::kMax : cuda::Reduction::kSum;
  const Unlocked unlocked;
  const cuda::CurrentGpu open(ordinal);
  cuda::reduce_rows(*open, cuda::current_stream(*open), kind, lists);
}

}  // namespace

void bind_cuda(py::module_& m) {
  py::module_ cuda_module = m.def_submodule("cuda", "The GPUs of this process.");
  cuda_module.attr("built") = true;
  cuda_module.def("why_not", &cuda::why_not,
                  "Why no GPU can be used, in a line; empty where one can be used.");
  cuda_module.def("device_count", &cuda::gpu_count, "Number of GPUs; 0 where none can be used.");
  cuda_module.def("emulated", &cuda::is_emulated,
                  "Whether CAVS_CUDA_DRIVER names an emulated driver.");
  cuda_module.def(
      "set_library_folders",
      [](const std::string& folders) {
        cuda::LibraryPaths paths = cuda::library_paths_from_environment();
        paths.folders += (paths.folders.empty() || folders.empty() ? "" : ":") + folders;
        cuda::set_library_paths(std::move(paths));
      },
      py::arg("folders"),
      "Where NVRTC and cuBLAS are looked for after CAVS_CUDA_LIBRARY_PATH, parted by ':'. Before "
      "the first use.");
  cuda_module.def("versions", &versions,
                  "Versions of the driver, of NVRTC and of cuBLAS, or why there is none.");
  cuda_module.def("device_info", &device_info, py::arg("ordinal"),
                  "Name, architecture, processors, total_bytes and free_bytes of a GPU.");
  cuda_module.def("synchronize", &synchronize, py::arg("ordinal"),
                  "Waits for all work on a GPU; raises DeviceError where it failed.");
  cuda_module.def("reduce_rows", &reduce_rows, py::arg("ordinal"), py::arg("reduction"),
                  py::arg("dtype"), py::arg("out"), py::arg("rows"), py::arg("order"),
                  py::arg("starts"), py::arg("segments"), py::arg("width"),
                  "out[s] += rows[order[k]] for k from starts[s] to starts[s + 1] - 1, one after "
                  "the other, or their maximum (reduction 'max'): rows of `width` elements, by "
                  "addresses.");
  cuda_module.def(
      "set_stream",
      [](int ordinal, uint64_t handle) {
        cuda::set_current_stream(ordinal, reinterpret_cast<cuda::StreamHandle>(handle));
      },
      py::arg("ordinal"), py::arg("handle"),
      "The stream of another library on which this thread's calls go from here on.");
  cuda_module.def("set_array_makers", &set_array_makers, py::arg("make"), py::arg("wrap"),
                  "How arrays of a GPU are made: make(ordinal, shape, dtype), of any content, and "
                  "wrap(ordinal, address, shape, dtype, owner), over memory that `owner` keeps.");
  cuda_module.def("use_on_host", &use_on_host, py::arg("begin"),
                  "Memory of an emulated device is within the host's reach until the call with "
                  "False that belongs to this one with True.");
  bind_cuda_compile(cuda_module);
  bind_cuda_pool(cuda_module);
  bind_cuda_settings(cuda_module);
  py::class_<Memory>(cuda_module, "Memory", py::buffer_protocol())
      .def(py::init<int, size_t>(), py::arg("ordinal"), py::arg("bytes"))
      .def(py::init<int, size_t, cuda::Address, py::object>(), py::arg("ordinal"), py::arg("bytes"),
           py::arg("address"), py::arg("owner"))
      .def_buffer([](const Memory& memory) { return memory.host_bytes(); })
      .def_property_readonly("address", &Memory::address)
      .def_property_readonly("bytes", &Memory::bytes)
      .def_property_readonly("ordinal", &Memory::ordinal)
      .def_property_readonly("owner", &Memory::owner);
}

}  // namespace cavs
