// Compiles kernels, keeps their machine code, and launches them.
#include "cuda/code/kernel_cache.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cuda/driver/counters.h"

namespace cavs::cuda {
namespace {

constexpr int kOwnSharedBytes = 1;  // CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES
constexpr int kSharedBytes = 8;     // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr char kImageMark[] = "cavs kernels 2\n";  // what a kept file begins with
constexpr Result kBuiltinsMissing = 7;             // NVRTC_ERROR_BUILTIN_OPERATION_FAILURE

// Products and sums are merged where a kernel says fmaf, and nowhere else: so that they round as on
// the CPU.
const char* const kOptions[] = {"--std=c++17", "--fmad=false"};

// FNV-1a in 128 bits: collisions of different sources do not happen by chance.
class Hash {
 public:
  void add(const std::string& text) {
    for (const char c : text) step(static_cast<unsigned char>(c));
    for (uint64_t size = text.size(), i = 0; i < 8; ++i, size >>= 8) step(size & 255);
  }
  std::string hex() const {
    char text[33];
    std::snprintf(text, sizeof text, "%016llx%016llx",
                  static_cast<unsigned long long>(value_ >> 64),
                  static_cast<unsigned long long>(value_));
    return text;
  }

 private:
  void step(uint64_t byte) {
    value_ ^= byte;
    value_ *= (static_cast<unsigned __int128>(0x1000000) << 64) + 0x13b;
  }
  unsigned __int128 value_ =
      (static_cast<unsigned __int128>(0x6c62272e07bb0142) << 64) + 0x62b821756295c58d;
};

std::string hash_of(const KernelSource& source, const std::string& architecture) {
  int major = 0, minor = 0;
  nvrtc().nvrtcVersion(&major, &minor);
  Hash hash;
  hash.add(std::to_string(major) + "." + std::to_string(minor));
  hash.add(architecture);
  for (const char* option : kOptions) hash.add(option);
  for (const auto& option : source.options) hash.add(option);
  hash.add(source.text);
  for (const auto& [name, text] : source.headers) {
    hash.add(name);
    hash.add(text);
  }
  return hash.hex();
}

std::string hash_of(const std::string& text) {
  Hash hash;
  hash.add(text);
  return hash.hex();
}

// A kept file: the mark, a hash of the machine code, and the machine code. Empty where it is not
// whole.
std::string read_kept(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string mark = kImageMark;
  constexpr size_t hex = 32;
  if (text.size() <= mark.size() + hex || text.compare(0, mark.size(), mark) != 0) return "";
  const std::string hash = text.substr(mark.size(), hex);
  text.erase(0, mark.size() + hex);
  return hash_of(text) == hash ? text : "";
}

// Whole or not at all; whether it could be written.
bool write_whole(const std::string& path, const std::string& text) {
  static std::atomic<int> number{0};  // threads may write the same file at once
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string beside = path + "." + std::to_string(getpid()) + "." + std::to_string(++number);
  bool good = false;
  {
    std::ofstream file(beside, std::ios::binary);
    file << text;
    good = static_cast<bool>(file.flush());
  }
  if (good) {
    std::filesystem::rename(beside, path, error);
    good = !error;
  }
  if (!good) std::filesystem::remove(beside, error);
  return good;
}

// Removes what processes left that were killed while they wrote. A file is written in far less than
// an hour.
void remove_unfinished(const std::string& folder) {
  std::error_code error;
  const auto before = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
  for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    const std::string name = file->path().filename().string();
    if (name.find(".cubin.") == std::string::npos && name.find(".cu.") == std::string::npos) {
      continue;
    }
    std::error_code ignored;
    const auto written = file->last_write_time(ignored);
    if (!ignored && written < before) std::filesystem::remove(file->path(), ignored);
  }
}

void keep(const std::string& path, const std::string& image) {
  write_whole(path, kImageMark + hash_of(image) + image);
}

std::string first_error(const std::string& log) {
  const size_t found = log.find("error");
  const size_t at = found == std::string::npos ? 0 : log.rfind('\n', found) + 1;
  return log.substr(at, log.find('\n', at) - at);
}

// The name of a file with the source and what the compiler said of it, or why there is none.
std::string keep_source(const KernelSource& source, const std::string& architecture,
                        const std::string& log) {
  std::string text = "// for " + architecture;
  for (const auto& option : source.options) text += " " + option;
  text += "\n/*\n" + log + "\n*/\n#line 1\n" + source.text;
  const std::string name = "failed-" + hash_of(text) + ".cu";
  std::error_code error;
  for (const std::string& folder :
       {KernelCache::default_folder(), std::filesystem::temp_directory_path(error).string()}) {
    if (folder.empty()) continue;
    if (write_whole(folder + "/" + name, text)) return folder + "/" + name;
  }
  return "no file, since no folder can be written";
}

// Ends the program's life with its scope.
struct Program {
  ProgramHandle handle = nullptr;
  ~Program() {
    if (handle != nullptr) nvrtc().nvrtcDestroyProgram(&handle);
  }
};

std::string log_of(ProgramHandle program) {
  size_t bytes = 0;
  if (nvrtc().nvrtcGetProgramLogSize(program, &bytes) != 0 || bytes == 0) return "";
  std::string log(bytes, '\0');
  nvrtc().nvrtcGetProgramLog(program, log.data());
  log.resize(bytes - 1);
  return log;
}

}  // namespace

std::string compile(const KernelSource& source, const std::string& architecture) {
  std::vector<const char*> names, texts, options;
  for (const auto& [name, text] : source.headers) {
    names.push_back(name.c_str());
    texts.push_back(text.c_str());
  }
  const std::string target = "--gpu-architecture=" + architecture;
  options.push_back(target.c_str());
  for (const char* option : kOptions) options.push_back(option);
  for (const auto& option : source.options) options.push_back(option.c_str());
  Program program;
  Result code =
      nvrtc().nvrtcCreateProgram(&program.handle, source.text.c_str(), source.name.c_str(),
                                 static_cast<int>(names.size()), texts.data(), names.data());
  if (code != 0)
    fail("[cuda] expected a program for NVRTC, got error ", code,
         "; install nvidia-cuda-nvrtc again");
  code =
      nvrtc().nvrtcCompileProgram(program.handle, static_cast<int>(options.size()), options.data());
  if (code != 0) {
    const std::string log = log_of(program.handle);
    if (code == kBuiltinsMissing || log.find("nvrtc-builtins") != std::string::npos) {
      fail("[cuda] expected the library nvrtc-builtins beside NVRTC, got none (", first_error(log),
           "); install the package nvidia-cuda-nvrtc again");
    }
    fail("[cuda] expected kernels in ", source.name, " that compile, got NVRTC's error ", code,
         " (", first_error(log), "); see the source in ", keep_source(source, architecture, log));
  }
  size_t bytes = 0;
  code = nvrtc().nvrtcGetCUBINSize(program.handle, &bytes);
  std::string image(bytes, '\0');
  if (code == 0) code = nvrtc().nvrtcGetCUBIN(program.handle, image.data());
  if (code != 0 || bytes == 0)
    fail("[cuda] expected machine code of ", source.name,
         ", got none; install nvidia-cuda-nvrtc again");
  return image;
}

Kernel::Kernel(FunctionHandle function, std::string name)
    : function_(function), name_(std::move(name)) {
  if (driver().cuFuncGetParamInfo == nullptr) return;
  parameter_bytes_.emplace();
  size_t offset = 0, bytes = 0;
  for (size_t i = 0; driver().cuFuncGetParamInfo(function_, i, &offset, &bytes) == 0; ++i) {
    parameter_bytes_->push_back(bytes);
  }
}

unsigned Kernel::resident_blocks(const Gpu& gpu, unsigned threads, unsigned shared_bytes) const {
  int blocks = 0;
  allow_shared(shared_bytes);
  check(driver().cuOccupancyMaxActiveBlocksPerMultiprocessor(
            &blocks, function_, static_cast<int>(threads), shared_bytes),
        "a kernel '", name_, "' that fits with ", threads, " threads");
  return static_cast<unsigned>(blocks * gpu.processors());
}

int Kernel::own_shared_bytes() const {
  int value = 0;
  check(driver().cuFuncGetAttribute(&value, kOwnSharedBytes, function_), "shared memory of ",
        name_);
  return value;
}

// Of 48 KB a block may have what it does not have of its own; more it has to ask for. Never less
// than before: another thread may be about to launch with more, and graphs hold launches.
void Kernel::allow_shared(unsigned bytes) const {
  if (bytes == 0) return;
  const std::lock_guard<std::mutex> guard(allowed_->mutex);
  if (bytes <= allowed_->bytes) return;
  check(driver().cuFuncSetAttribute(function_, kSharedBytes, static_cast<int>(bytes)),
        "shared memory for '", name_, "'");
  allowed_->bytes = bytes;
}

void Kernel::start(const Stream& stream, const Shape& shape, const std::vector<Argument>& arguments,
                   bool together) const {
  if (parameter_bytes_ && arguments.size() != parameter_bytes_->size()) {
    fail("[cuda] expected ", parameter_bytes_->size(), " arguments of kernel '", name_, "', got ",
         arguments.size(), "; give those of its text");
  }
  std::vector<void*> pointers;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (parameter_bytes_ && arguments[i].bytes != (*parameter_bytes_)[i]) {
      fail("[cuda] expected ", (*parameter_bytes_)[i], " bytes for argument ", i, " of kernel '",
           name_, "', got ", arguments[i].bytes, "; give those of its text");
    }
    pointers.push_back(const_cast<void*>(arguments[i].data));
  }
  allow_shared(shape.shared_bytes);
  const Result code =
      together
          ? driver().cuLaunchCooperativeKernel(function_, shape.blocks, 1, 1, shape.threads, 1, 1,
                                               shape.shared_bytes, stream.handle(), pointers.data())
          : driver().cuLaunchKernel(function_, shape.blocks, 1, 1, shape.threads, 1, 1,
                                    shape.shared_bytes, stream.handle(), pointers.data(), nullptr);
  count(counters().launches);
  check(code, "a launch of '", name_, "' with ", shape.blocks, " blocks of ", shape.threads,
        " threads and ", shape.shared_bytes, " bytes of shared memory");
}

Module::Module(const std::string& image) {
  check(driver().cuModuleLoadData(&handle_, image.data()), "machine code for this device");
}
Module::~Module() {
  const ContextScope scope(context_);
  driver().cuModuleUnload(handle_);
}

Kernel Module::kernel(const std::string& name) const {
  FunctionHandle function = nullptr;
  check(driver().cuModuleGetFunction(&function, handle_, name.c_str()), "a kernel '", name, "'");
  return Kernel(function, name);
}

KernelCache::KernelCache(std::string folder) : folder_(std::move(folder)) {}

std::string KernelCache::default_folder() {
  if (const char* folder = std::getenv("CAVS_CUDA_CACHE")) return folder;
  if (const char* folder = std::getenv("XDG_CACHE_HOME")) return std::string(folder) + "/cavs/cuda";
  const char* home = std::getenv("HOME");
  return home == nullptr ? "" : std::string(home) + "/.cache/cavs/cuda";
}

std::unique_ptr<Module> KernelCache::load(const KernelSource& source, const Gpu& gpu) {
  const std::string path =
      folder_.empty() ? "" : folder_ + "/" + hash_of(source, gpu.architecture()) + ".cubin";
  std::string image = path.empty() ? "" : read_kept(path);
  if (!image.empty()) {
    ++hits_;
    return std::make_unique<Module>(image);
  }
  if (++misses_ == 1 && !folder_.empty()) remove_unfinished(folder_);
  image = compile(source, gpu.architecture());
  if (!path.empty()) keep(path, image);
  return std::make_unique<Module>(image);
}

}  // namespace cavs::cuda
