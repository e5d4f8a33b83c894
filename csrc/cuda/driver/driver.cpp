// Opens the libraries, and finds their functions.
#include "cuda/driver/driver.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <new>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "base/everlasting.h"

namespace cavs::cuda {
namespace {

constexpr Result kNotInitialized = 3;

struct Chosen {
  std::mutex mutex;
  std::optional<LibraryPaths> paths;
};
LibraryPaths paths() {
  auto& chosen = everlasting<Chosen>();
  const std::lock_guard<std::mutex> guard(chosen.mutex);
  return chosen.paths ? *chosen.paths : library_paths_from_environment();
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> parts_of(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ':');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

// What a message says of the files that were tried: nothing of those that are not there.
class Tried {
 public:
  void* open(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return handle;
    const std::string reason = dlerror();
    if (reason.find("cannot open shared object file: No such file") == std::string::npos)
      reasons_ += " (" + reason + ")";
    return nullptr;
  }
  const std::string& reasons() const { return reasons_; }

 private:
  std::string reasons_;
};

// By name first: that finds what the process has loaded already (a framework's cuBLAS, say, of
// which a second copy would cost memory) and what the system's loader knows.
void* open_library(const std::vector<std::string>& names, const std::string& folders,
                   const std::string& purpose, const std::string& what_to_do) {
  Tried tried;
  for (const auto& name : names) {
    if (void* handle = tried.open(name)) return handle;
  }
  for (const auto& folder : parts_of(folders)) {
    for (const auto& name : names) {
      if (void* handle = tried.open(folder + "/" + name)) return handle;
    }
  }
  fail("[cuda] expected ", names.front(), " (", purpose, "), got none", tried.reasons(), "; ",
       what_to_do);
}

void* open_emulator(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    fail("[cuda] expected an emulated driver in CAVS_CUDA_DRIVER, got '", path, "' (", dlerror(),
         "); name the library that tools/cuda_emulator.py prints, or unset CAVS_CUDA_DRIVER");
  }
  return library;
}

// Loads what the library itself looks for by name alone, where that does not look beside it.
void open_beside(const std::filesystem::path& library, const std::string& start) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(library.parent_path(), error)) {
    const std::string name = file.path().filename();
    if (name.rfind(start, 0) == 0) dlopen(file.path().c_str(), RTLD_NOW | RTLD_LOCAL);
  }
}

// Finds the functions of one library.
class Finder {
 public:
  // `missing`: a function that is left null.
  Finder(void* library, std::string what_to_do, std::string missing = "")
      : library_(library), what_to_do_(std::move(what_to_do)), missing_(std::move(missing)) {}

  template <class Function>
  void find(const char* symbol, Function* function) const {
    if (symbol == missing_) return;
    *function = reinterpret_cast<Function>(dlsym(library_, symbol));
    if (*function == nullptr) {
      fail("[cuda] expected a library with the function ", symbol, ", got one without it; ",
           what_to_do_);
    }
  }

 private:
  void* library_;
  std::string what_to_do_, missing_;
};

const char* const kUpdateDriver =
    "install NVIDIA's driver of version 525 or newer, or use device='cpu' (--device cpu)";
const char* const kCheckVariable =
    "name the library that tools/cuda_emulator.py prints, or unset CAVS_CUDA_DRIVER";
const char* const kInstallExtra =
    "run `pip install 'cupy-cuda13x[ctk]'`, or 'cupy-cuda12x[ctk]' for a driver of CUDA 12";

#define CAVS_CUDA_FIND(name, suffix, parameters) finder.find(#name #suffix, &table.name);

std::atomic<bool> forked{false};

DriverTable load_driver() {
  const LibraryPaths where = paths();
  const std::string usual = "/usr/local/nvidia/lib64:/usr/lib/x86_64-linux-gnu:/usr/lib/wsl/lib";
  void* library =
      where.emulated.empty()
          ? open_library({"libcuda.so.1"}, usual, "the driver of an NVIDIA GPU", kUpdateDriver)
          : open_emulator(where.emulated);
  const char* const what_to_do = where.emulated.empty() ? kUpdateDriver : kCheckVariable;
  DriverTable table;
  // First, since an older driver lacks others.
  Finder(library, what_to_do).find("cuDriverGetVersion", &table.cuDriverGetVersion);
  int version = 0;
  if (table.cuDriverGetVersion(&version) == 0 && version < kLeastDriverVersion) {
    fail("[cuda] expected a driver for CUDA ", version_text(kLeastDriverVersion),
         " or newer, got one for ", version_text(version), "; ", kUpdateDriver);
  }
  const Finder finder(library, what_to_do,
                      version < kParameterInfoVersion ? "cuFuncGetParamInfo" : "");
  CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_CUDA_FIND)
  set_library_paths(where);  // from now on they are these
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
  return table;
}

// What a driver of CUDA 12 runs is made by libraries of CUDA 12.
std::vector<std::string> versions_of(const std::string& library) {
  int version = 0;
  try {
    driver().cuDriverGetVersion(&version);
  } catch (const Error&) {  // kernels can be compiled without a driver
  }
  const bool old = version != 0 && version < 13000;
  return old ? std::vector<std::string>{library + ".12"}
             : std::vector<std::string>{library + ".13", library + ".12"};
}

Finder find_in(const std::string& library, const char* purpose) {
  const LibraryPaths where = paths();
  if (!where.emulated.empty()) return {open_emulator(where.emulated), kCheckVariable};
  return {open_library(versions_of(library), where.folders, purpose, kInstallExtra), kInstallExtra};
}

NvrtcTable load_nvrtc() {
  const Finder finder = find_in("libnvrtc.so", "NVIDIA's compiler of kernels");
  NvrtcTable table;
  CAVS_CUDA_NVRTC_FUNCTIONS(CAVS_CUDA_FIND)
  if (!is_emulated())
    open_beside(file_of(reinterpret_cast<void*>(table.nvrtcVersion)), "libnvrtc-builtins.so.");
  return table;
}

BlasTable load_blas() {
  // The wheels' libcublas finds libcublasLt beside it; another may not.
  if (!is_emulated()) {
    const std::vector<std::string> folders = parts_of(paths().folders);
    for (const auto& name : versions_of("libcublasLt.so")) {
      bool found = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
      for (const auto& folder : folders) {
        if (!found) found = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
      }
      if (found) break;
    }
  }
  const Finder finder = find_in("libcublas.so", "NVIDIA's library of products");
  BlasTable table;
  CAVS_CUDA_BLAS_FUNCTIONS(CAVS_CUDA_FIND)
  return table;
}

// The tables of a process that was forked too late.
template <class... Parameters>
Result refuse(Parameters...) {
  return kNotInitialized;
}
#define CAVS_CUDA_REFUSE(name, suffix, parameters) table.name = &refuse;

struct Refused {
  Refused() {
    {
      DriverTable& table = driver;
      CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_CUDA_REFUSE)
    }
    BlasTable& table = blas;
    CAVS_CUDA_BLAS_FUNCTIONS(CAVS_CUDA_REFUSE)
  }
  DriverTable driver;
  BlasTable blas;
};
#undef CAVS_CUDA_REFUSE
#undef CAVS_CUDA_FIND

// What the emulated driver has to say besides the code; empty with a real one.
std::string emulator_detail() {
  static const auto function =
      reinterpret_cast<const char* (*)()>(emulator_function("cavs_emulator_detail"));
  if (function == nullptr) return "";
  const std::string detail = function();
  return detail.empty() ? "" : ": " + detail;
}

// As OutOfMemory, of what takes a number of bytes that only the driver knows.
class NoMemoryFor : public std::bad_alloc {
 public:
  explicit NoMemoryFor(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

}  // namespace

LibraryPaths library_paths_from_environment() {
  return {variable("CAVS_CUDA_DRIVER"), variable("CAVS_CUDA_LIBRARY_PATH")};
}

void set_library_paths(LibraryPaths paths) {
  auto& chosen = everlasting<Chosen>();
  const std::lock_guard<std::mutex> guard(chosen.mutex);
  chosen.paths = std::move(paths);
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string file_of(const void* function) {
  Dl_info info;
  return dladdr(function, &info) == 0 || info.dli_fname == nullptr ? "" : info.dli_fname;
}

bool is_forked() { return forked.load(std::memory_order_relaxed); }

const DriverTable& driver() {
  if (is_forked()) return everlasting<Refused>().driver;
  static const auto* const table = new DriverTable(load_driver());
  return *table;
}

const NvrtcTable& nvrtc() {
  static const auto* const table = new NvrtcTable(load_nvrtc());
  return *table;
}

const BlasTable& blas() {
  if (is_forked()) return everlasting<Refused>().blas;
  static const auto* const table = new BlasTable(load_blas());
  return *table;
}

bool is_emulated() { return !paths().emulated.empty(); }

void* emulator_function(const char* name) {
  if (!is_emulated()) return nullptr;
  return dlsym(open_emulator(paths().emulated), name);
}

void fail_for_memory(const std::string& expected) {
  size_t free = 0, total = 0;
  driver().cuMemGetInfo(&free, &total);
  std::ostringstream text;
  text << "[memory] expected memory of the GPU for " << expected << ", got " << free
       << " bytes free of " << total << "; use smaller batches or a smaller model";
  throw NoMemoryFor(text.str());
}

std::string describe(Result code) {
  if (is_forked()) {
    return "a process that was forked after its parent's first call of CUDA; start processes with "
           "the method 'spawn', or call CUDA in the child alone";
  }
  const char *name = nullptr, *text = nullptr;
  driver().cuGetErrorName(code, &name);
  driver().cuGetErrorString(code, &text);
  return std::string(name == nullptr ? "error " + std::to_string(code) : name) + " (" +
         (text == nullptr ? "unknown" : text) + emulator_detail() + ")";
}

}  // namespace cavs::cuda
