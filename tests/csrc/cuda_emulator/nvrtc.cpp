// NVRTC: a C++ compiler makes a shared library of the CUDA C++ text. Libraries are kept by hash.
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "emulator.h"
#include "image.h"

extern char** environ;

struct _nvrtcProgram {
  std::string source, name, log, image;
  std::vector<std::pair<std::string, std::string>> headers;  // name, text
};

namespace emulator {
namespace {

constexpr int kOutOfMemoryOfCompiler = 1, kInvalidOption = 5, kCompilation = 6;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool write(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  return static_cast<bool>(file.flush());
}

// device_functions.h as a string literal, made by the build.
const std::string& device_functions() {
  static const std::pair<const char*, std::string> texts[] = {
#include "emulator_texts.inc"
  };
  return texts[0].second;
}

bool is_word(char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; }

size_t skip_space(const std::string& text, size_t at) {
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at])) != 0) ++at;
  return at;
}

// The word that begins at or after `at`, which moves behind it; empty where there is none.
std::string next_word(const std::string& text, size_t* at) {
  const size_t begin = skip_space(text, *at);
  *at = begin;
  while (*at < text.size() && is_word(text[*at])) ++*at;
  return text.substr(begin, *at - begin);
}

// What stands in the parentheses that open at or after `at`, which moves behind them.
std::string in_parentheses(const std::string& text, size_t* at) {
  const size_t begin = skip_space(text, *at) + 1;
  int depth = 1;
  size_t end = begin;
  for (; end < text.size() && depth > 0; ++end)
    depth += text[end] == '(' ? 1 : text[end] == ')' ? -1 : 0;
  *at = end;
  return text.substr(begin, end - begin - 1);
}

// Arrays in dynamic shared memory have no C++ form that a macro could give:
// extern __shared__ float x[];  ->  float* const x = static_cast<float*>(...);
std::string replace_dynamic_arrays(std::string text) {
  for (size_t at = text.find("extern"); at != std::string::npos; at = text.find("extern", at + 1)) {
    size_t after = at + 6;
    if (next_word(text, &after) != "__shared__") continue;
    size_t type = skip_space(text, after);
    if (text.compare(type, 9, "__align__") == 0) in_parentheses(text, &(type += 9));
    const size_t bracket = text.find('[', type), end = text.find(';', type);
    if (bracket == std::string::npos || end == std::string::npos || bracket > end) continue;
    size_t name = bracket;
    while (name > type && is_word(text[name - 1])) --name;
    const std::string pointer = text.substr(type, name - type) + "*";
    text.replace(at, end - at,
                 pointer + " const " + text.substr(name, bracket - name) + " = static_cast<" +
                     pointer + ">(cavs_emulator::dynamic_shared)");
  }
  return text;
}

// A way to call each kernel of the text: __global__ [__launch_bounds__(N)] void [...] NAME(...)
std::string calls_of_kernels(const std::string& text) {
  std::string calls;
  for (size_t at = text.find("__global__"); at != std::string::npos;
       at = text.find("__global__", at)) {
    at += 10;
    std::string bound = "0", word = next_word(text, &at);
    for (; word == "void" || word == "__launch_bounds__"; word = next_word(text, &at)) {
      if (word == "void") continue;
      bound = in_parentheses(text, &at);
      bound = bound.substr(0, bound.find(','));
    }
    if (!word.empty()) calls += "CAVS_KERNEL(" + word + ", " + bound + ")\n";
  }
  return calls;
}

std::string translate(const std::string& source) {
  return replace_dynamic_arrays(source) + "\n" + calls_of_kernels(source);
}

// Those that change nothing here. Products and sums are never merged, divisions and roots are
// exact.
bool is_without_effect(const std::string& option) {
  for (const char* start : {"--gpu-architecture=sm_", "--fmad=", "--restrict"}) {
    if (option.rfind(start, 0) == 0) return true;
  }
  return option == "-default-device" || option == "--prec-div=true" ||
         option == "--prec-sqrt=true" || option == "--ftz=false";
}

// The words of NVRTC's options for the C++ compiler.
std::vector<std::string> read_options(int count, const char* const* options) {
  std::vector<std::string> words;
  bool flush = false, doubles = false;
  for (int i = 0; i < count; ++i) {
    const std::string option = options[i];
    const auto begins = [&option](const char* start) { return option.rfind(start, 0) == 0; };
    doubles = doubles || option == "-DCAVS_REAL=double";
    if (begins("-D") || begins("--std=")) {
      words.push_back(begins("--std=") ? option.substr(1) : option);
    } else if (option == "--ftz=true") {
      flush = true;
    } else if (!is_without_effect(option)) {
      throw Failure{kInvalidOption, "option " + option};
    }
  }
  // The CPU flushes both types or none, a GPU floats alone.
  if (flush && !doubles) words.push_back("-DCAVS_EMULATED_FTZ=1");
  return words;
}

std::vector<std::string> compiler(const std::vector<std::string>& options) {
  const char* chosen = std::getenv("CAVS_EMULATOR_CXX");
  std::vector<std::string> words = {chosen == nullptr ? "g++" : chosen};
  // Sums are not contracted, as with --fmad=false. -w: warnings are NVRTC's affair. An index
  // outside of an array of known size, in shared memory say, traps.
  for (const char* word : {"-std=c++17", "-Og", "-ffp-contract=off", "-fno-math-errno", "-shared",
                           "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti",
                           "-fno-asynchronous-unwind-tables", "-nostdlib", "-fsanitize=bounds",
                           "-fsanitize-undefined-trap-on-error", "-w", "-nostdinc", "-x", "c++"}) {
    words.push_back(word);
  }
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) words.push_back("-mfma");
#endif
#if defined(__SANITIZE_ADDRESS__)
  words.insert(words.end(), {"-fsanitize=address", "-g", "-U_FORTIFY_SOURCE"});
#endif
  if (const char* more = std::getenv("CAVS_EMULATOR_CXXFLAGS")) {
    std::istringstream list(more);
    for (std::string word; list >> word;) words.push_back(word);
  }
  words.insert(words.end(), options.begin(), options.end());
  return words;
}

// Runs it with its output in a file; true where it came to a good end.
bool spawn(const std::vector<std::string>& words, const std::string& output) {
  std::vector<char*> arguments;
  for (const auto& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  // In a group of its own: Control-C at a terminal is this process's to answer.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  const int error =
      posix_spawnp(&child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error != 0) return false;
  while (waitpid(child, &status, 0) != child) {
    if (errno != EINTR) return false;  // a signal's handler ran
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string hash_of(const std::string& text) {
  unsigned __int128 value = 0;
  for (const unsigned char c : text) value = (value ^ c) * 0x9E3779B97F4A7C15ull + (value >> 71);
  char hex[33];
  std::snprintf(hex, sizeof hex, "%016llx%016llx", static_cast<unsigned long long>(value >> 64),
                static_cast<unsigned long long>(value));
  return hex;
}

std::string cache_folder() {
  if (const char* folder = std::getenv("CAVS_EMULATOR_CACHE")) return folder;
  return (std::filesystem::temp_directory_path() / ("cavs_emulator_" + std::to_string(getuid())))
      .string();
}

// Several threads may compile at once.
void count_compilation() {
  const std::lock_guard<std::recursive_mutex> guard(api_mutex);
  ++counts().compilations;
}

// Where the folder cannot be written or is full, nothing is kept.
void keep(const std::string& path, const std::string& library) {
  static std::atomic<int> number{0};
  std::error_code error;
  std::filesystem::create_directories(cache_folder(), error);
  const std::string beside = path + "." + std::to_string(getpid()) + "." + std::to_string(++number);
  if (write(beside, library)) std::filesystem::rename(beside, path, error);
  std::filesystem::remove(beside, error);
}

void compile(_nvrtcProgram* program, const std::vector<std::string>& options) {
  const std::vector<std::string> words = compiler(options);
  std::string all = device_functions() + translate(program->source);
  for (const auto& word : words) all += word + '\n';
  for (const auto& [name, text] : program->headers) all += name + '\n' + text;
  const std::string kept = cache_folder() + "/" + hash_of(all) + ".so";
  std::string library = read(kept);
  if (library.empty()) {
    count_compilation();
    std::string pattern =
        (std::filesystem::temp_directory_path() / "cavs_emulator_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw Failure{kOutOfMemoryOfCompiler, "no folder"};
    const std::string folder = pattern;
    write(folder + "/device_functions.h", device_functions());
    for (const auto& [name, text] : program->headers) {
      const std::filesystem::path file = folder + "/" + name;
      std::filesystem::create_directories(file.parent_path());
      write(file, translate(text));
    }
    write(folder + "/kernels.cpp", "#include \"device_functions.h\"\n#line 1 \"" + program->name +
                                       "\"\n" + translate(program->source));
    std::vector<std::string> command = words;
    command.insert(command.end(), {"-I", folder, folder + "/kernels.cpp", "-o", folder + "/out.so",
                                   "-lm", "-lgcc"});
    const bool good = spawn(command, folder + "/log");
    program->log = read(folder + "/log");
    library = read(folder + "/out.so");
    std::filesystem::remove_all(folder);
    if (!good || library.empty()) throw Failure{kCompilation, ""};
    keep(kept, library);
  }
  program->image = image_of_library(library);
}

// CAVS_EMULATOR_SOURCES: a folder for the sources that were compiled, each with its name and
// options in comments on top, so that NVIDIA's compiler can be tried on them
// (tools/compile_kernels.py).
void keep_source(const _nvrtcProgram& program, int count, const char* const* options) {
  const char* folder = std::getenv("CAVS_EMULATOR_SOURCES");
  if (folder == nullptr) return;
  std::string all = "// name: " + program.name + "\n// options:";
  for (int i = 0; i < count; ++i) all += std::string(" ") + options[i];
  all += "\n" + program.source;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  write(std::string(folder) + "/" + hash_of(all) + ".cu", all);
}

// The compiler works without a device, whatever became of it.
template <class Body>
Result compiler_call(const Body& body) {
  try {
    body();
    return kSuccess;
  } catch (const Failure& failure) {
    const std::lock_guard<std::recursive_mutex> guard(api_mutex);
    return fail_call(failure);
  }
}

}  // namespace
}  // namespace emulator

using namespace emulator;

// No version of CUDA's: what was compiled for a GPU is never taken for what this compiles.
Result nvrtcVersion(int* major, int* minor) {
  std::string all = device_functions();
  for (const auto& word : compiler({})) all += word + ' ';
  *major = 0;
  *minor = static_cast<int>(std::hash<std::string>()(all) % 1000000);
  return kSuccess;
}

Result nvrtcCreateProgram(ProgramHandle* program, const char* source, const char* name,
                          int num_headers, const char* const* headers,
                          const char* const* header_names) {
  return compiler_call([&] {
    auto* made = new _nvrtcProgram;
    made->source = source;
    made->name = name == nullptr ? "kernels.cu" : name;
    for (int i = 0; i < num_headers; ++i) made->headers.emplace_back(header_names[i], headers[i]);
    *program = made;
  });
}

Result nvrtcDestroyProgram(ProgramHandle* program) {
  delete *program;
  *program = nullptr;
  return kSuccess;
}

Result nvrtcCompileProgram(ProgramHandle program, int num_options, const char* const* options) {
  return compiler_call([&] {
    keep_source(*program, num_options, options);
    compile(program, read_options(num_options, options));
  });
}

Result nvrtcGetProgramLogSize(ProgramHandle program, size_t* bytes) {
  *bytes = program->log.size() + 1;
  return kSuccess;
}
Result nvrtcGetProgramLog(ProgramHandle program, char* log) {
  std::memcpy(log, program->log.c_str(), program->log.size() + 1);
  return kSuccess;
}
Result nvrtcGetCUBINSize(ProgramHandle program, size_t* bytes) {
  *bytes = program->image.size();
  return kSuccess;
}
Result nvrtcGetCUBIN(ProgramHandle program, char* cubin) {
  std::memcpy(cubin, program->image.data(), program->image.size());
  return kSuccess;
}
