#include "cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

namespace cavs::cuda {
namespace {

// Never destroyed, as everything that a call at the end of the process may read.
struct Chosen {
  std::mutex mutex;
  std::optional<LibraryPaths> paths;
};
Chosen& chosen() {
  static auto* const chosen = new Chosen;
  return *chosen;
}

LibraryPaths paths() {
  const std::lock_guard<std::mutex> guard(chosen().mutex);
  if (!chosen().paths) chosen().paths = library_paths_from_environment();
  return *chosen().paths;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// By name first: that finds what the process has loaded already (a framework's cuBLAS, say, of
// which a second copy would cost memory) and what the system's loader knows.
void* open_library(const std::vector<std::string>& names, const std::string& folders,
                   const std::string& purpose) {
  std::string tried;
  const auto attempt = [&tried](const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) tried += std::string("; ") + dlerror();
    return handle;
  };
  for (const auto& name : names) {
    if (void* handle = attempt(name)) return handle;
  }
  std::istringstream list(folders);
  for (std::string folder; std::getline(list, folder, ':');) {
    for (const auto& name : names) {
      if (folder.empty()) continue;
      if (void* handle = attempt(folder + "/" + name)) return handle;
    }
  }
  fail("expected ", names.front(), " (", purpose, "), got none", tried);
}

std::string folder_of(const void* symbol) {
  Dl_info info;
  if (symbol == nullptr || dladdr(symbol, &info) == 0) return "";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}

// Loads what the library itself looks for by name alone, where that does not look beside it.
void open_beside(const std::string& folder, const std::string& start) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = file.path().filename();
    if (name.rfind(start, 0) == 0) dlopen(file.path().c_str(), RTLD_NOW | RTLD_LOCAL);
  }
}

template <class Function>
void find(void* library, const char* symbol, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, symbol));
  if (*function == nullptr)
    fail("expected the function ", symbol, " in the driver's libraries, got none; update them");
}

#define CAVS_CUDA_FIND(name, suffix, parameters) find(library, #name #suffix, &table.name);

DriverTable load_driver() {
  const LibraryPaths where = paths();
  const std::string usual = "/usr/local/nvidia/lib64:/usr/lib/x86_64-linux-gnu:/usr/lib/wsl/lib";
  void* library = where.emulated.empty()
                      ? open_library({"libcuda.so.1"}, usual, "the driver of an NVIDIA GPU")
                      : open_library({where.emulated}, "", "an emulated driver");
  DriverTable table;
  CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_CUDA_FIND)
  return table;
}

NvrtcTable load_nvrtc() {
  const LibraryPaths where = paths();
  void* library = where.emulated.empty()
                      ? open_library({"libnvrtc.so.13", "libnvrtc.so.12"}, where.folders,
                                     "package nvidia-cuda-nvrtc or CUDA's toolkit")
                      : open_library({where.emulated}, "", "an emulated driver");
  NvrtcTable table;
  CAVS_CUDA_NVRTC_FUNCTIONS(CAVS_CUDA_FIND)
  if (where.emulated.empty()) {
    open_beside(folder_of(reinterpret_cast<void*>(table.nvrtcVersion)), "libnvrtc-builtins.so.");
  }
  return table;
}

BlasTable load_blas() {
  const LibraryPaths where = paths();
  // The wheels' libcublas finds libcublasLt beside it; another may not.
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12"}) {
    if (!where.emulated.empty() || dlopen(name, RTLD_NOW | RTLD_LOCAL) != nullptr) break;
    std::istringstream list(where.folders);
    for (std::string folder; std::getline(list, folder, ':');) {
      dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    }
  }
  void* library = where.emulated.empty()
                      ? open_library({"libcublas.so.13", "libcublas.so.12"}, where.folders,
                                     "package nvidia-cublas or CUDA's toolkit")
                      : open_library({where.emulated}, "", "an emulated driver");
  BlasTable table;
  CAVS_CUDA_BLAS_FUNCTIONS(CAVS_CUDA_FIND)
  return table;
}

#undef CAVS_CUDA_FIND

// What the emulated driver has to say besides the code; empty with a real one.
std::string emulator_detail() {
  static const auto function =
      reinterpret_cast<const char* (*)()>(emulator_function("cavs_emulator_detail"));
  if (function == nullptr) return "";
  const std::string detail = function();
  return detail.empty() ? "" : ": " + detail;
}

}  // namespace

LibraryPaths library_paths_from_environment() {
  return {variable("CAVS_CUDA_DRIVER"), variable("CAVS_CUDA_LIBRARY_PATH")};
}

void set_library_paths(LibraryPaths paths) {
  const std::lock_guard<std::mutex> guard(chosen().mutex);
  chosen().paths = std::move(paths);
}

const DriverTable& driver() {
  static const auto* const table = new DriverTable(load_driver());
  return *table;
}

const NvrtcTable& nvrtc() {
  static const auto* const table = new NvrtcTable(load_nvrtc());
  return *table;
}

const BlasTable& blas() {
  static const auto* const table = new BlasTable(load_blas());
  return *table;
}

bool is_emulated() { return !paths().emulated.empty(); }

void* emulator_function(const char* name) {
  if (!is_emulated()) return nullptr;
  return dlsym(open_library({paths().emulated}, "", "an emulated driver"), name);
}

std::string describe(Result code) {
  const char *name = nullptr, *text = nullptr;
  driver().cuGetErrorName(code, &name);
  driver().cuGetErrorString(code, &text);
  return std::string(name == nullptr ? "error " + std::to_string(code) : name) + " (" +
         (text == nullptr ? "unknown" : text) + emulator_detail() + ")";
}

}  // namespace cavs::cuda
