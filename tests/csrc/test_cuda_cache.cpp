// Machine code is kept on disk: by several threads and processes, in files that may be cut off or
// changed, in folders that cannot be written; and what does not compile is kept for its author.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "cuda/driver/gpus.h"

using namespace cavs;
using namespace cavs::cuda;
namespace fs = std::filesystem;

namespace {

fs::path place;  // a folder of this run

KernelSource source_of(const std::string& value) {
  KernelSource source;
  source.name = "give.cu";
  source.text = "extern \"C\" __global__ void give(float* x) { x[0] = " + value + "; }\n";
  return source;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
void write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::vector<fs::path> files_of(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  return files;
}

float run(const Module& module) {
  const Stream& stream = open_gpu(0).stream;
  const DeviceBlock block(stream, 4);
  module.kernel("give").launch(stream, {1, 1, 0}, block.address());
  float found = 0;
  stream.copy_to_host(&found, block.address(), 4);
  stream.synchronize();
  return found;
}

void test_kept_files() {
  const fs::path folder = place / "kept";
  const Gpu& gpu = open_gpu(0).gpu;
  KernelCache cache(folder.string());
  CHECK(run(*cache.load(source_of("3.0f"), gpu)) == 3 && cache.misses() == 1);
  CHECK(run(*cache.load(source_of("3.0f"), gpu)) == 3 && cache.hits() == 1);
  CHECK(files_of(folder).size() == 1);
  const fs::path file = files_of(folder)[0];
  const std::string whole = read(file);
  std::string changed = whole;
  changed[whole.size() / 2] = static_cast<char>(changed[whole.size() / 2] ^ 1);
  for (const std::string& broken :
       {std::string(), whole.substr(0, 10), whole.substr(0, 40), whole.substr(0, whole.size() / 2),
        whole.substr(0, whole.size() - 1), changed, whole + "x", std::string("something else")}) {
    write(file, broken);
    const int misses = cache.misses();
    CHECK(run(*cache.load(source_of("3.0f"), gpu)) == 3);
    CHECK(cache.misses() == misses + 1);
    CHECK(read(file) == whole);
  }
}

// What killed processes left goes; what another one may be writing now stays.
void test_unfinished_files() {
  const fs::path folder = place / "unfinished";
  fs::create_directories(folder);
  const std::vector<std::string> old = {"0a.cubin.7.1", "failed-0b.cu.7.2"};
  const std::vector<std::string> kept = {"0a.cubin", "0a.cubin.8.1", "failed-0b.cu", "of the user"};
  for (const auto& name : old) write(folder / name, "half");
  for (const auto& name : kept) write(folder / name, "half");
  for (const auto& name : {old[0], old[1], kept[0], kept[2], kept[3]}) {
    fs::last_write_time(folder / name, fs::file_time_type::clock::now() - std::chrono::hours(2));
  }
  KernelCache cache(folder.string());
  CHECK(run(*cache.load(source_of("6.0f"), open_gpu(0).gpu)) == 6);
  for (const auto& name : old) CHECK(!fs::exists(folder / name));
  for (const auto& name : kept) CHECK(fs::exists(folder / name));
}

// Each of these gives another file.
void test_what_the_hash_holds() {
  const fs::path folder = place / "hash";
  const Gpu& gpu = open_gpu(0).gpu;
  KernelCache cache(folder.string());
  KernelSource source = source_of("VALUE");
  source.options = {"-DVALUE=2.0f"};
  CHECK(run(*cache.load(source, gpu)) == 2);
  source.options = {"-DVALUE=2.0f", "--ftz=true"};
  CHECK(run(*cache.load(source, gpu)) == 2);
  source.options = {"-DVALUE=1.0f"};
  CHECK(run(*cache.load(source, gpu)) == 1);
  source.headers = {{"unused.h", "// a header\n"}};
  CHECK(run(*cache.load(source, gpu)) == 1);
  source.headers = {{"unused.h", "// another text\n"}};
  CHECK(run(*cache.load(source, gpu)) == 1);
  CHECK(cache.hits() == 0 && files_of(folder).size() == 5);
}

void test_folders_that_cannot_be_written() {
  const Gpu& gpu = open_gpu(0).gpu;
  write(place / "file", "");
  for (const std::string& folder : {(place / "file").string(), std::string("/proc/nowhere"),
                                    std::string("/dev/full"), std::string()}) {
    KernelCache cache(folder);
    CHECK(run(*cache.load(source_of("4.0f"), gpu)) == 4);
    CHECK(run(*cache.load(source_of("4.0f"), gpu)) == 4);
    CHECK(cache.hits() == 0 && cache.misses() == 2);
  }
}

void test_several_threads() {
  const fs::path folder = place / "threads";
  KernelCache cache(folder.string());
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      const Gpu& gpu = open_gpu(0).gpu;
      for (int j = 0; j < 4; ++j) {
        const int value = (i + j) % 3;
        if (run(*cache.load(source_of(std::to_string(value) + ".0f"), gpu)) ==
            static_cast<float>(value))
          ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 24);
  CHECK(cache.hits() + cache.misses() == 24);
  CHECK(files_of(folder).size() == 3);
}

void test_several_processes(const char* self) {
  const fs::path folder = place / "processes";
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      execl(self, self, "load", folder.c_str(), nullptr);
      _exit(9);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  CHECK(files_of(folder).size() == 1);
}

void test_what_does_not_compile() {
  const fs::path folder = place / "failed";
  const KernelSource source = source_of("missing_name");
  const auto attempt = [&] { compile(source, "sm_90"); };
  const std::string before = KernelCache::default_folder();
  setenv("CAVS_CUDA_CACHE", folder.c_str(), 1);
  CHECK_THROWS(attempt(), Error, "missing_name");
  CHECK_THROWS(attempt(), Error, "see the source in " + folder.string() + "/failed-");
  std::string message;
  try {
    attempt();
  } catch (const Error& error) {
    message = error.what();
    CHECK(error.kind() == ErrorKind::kDevice);
  }
  CHECK(message.find('\n') == std::string::npos);
  CHECK(files_of(folder).size() == 1);
  const std::string text = read(files_of(folder)[0]);
  CHECK(text.find(source.text) != std::string::npos && text.find("sm_90") != std::string::npos);
  // Where the cache keeps nothing, the folder for temporary files does.
  setenv("CAVS_CUDA_CACHE", "/proc/nowhere", 1);
  setenv("TMPDIR", (place / "temporary").c_str(), 1);
  fs::create_directory(place / "temporary");
  CHECK_THROWS(attempt(), Error, (place / "temporary").string() + "/failed-");
  unsetenv("TMPDIR");
  setenv("CAVS_CUDA_CACHE", before.c_str(), 1);
  // The device works.
  CHECK(run(*KernelCache(std::string()).load(source_of("5.0f"), open_gpu(0).gpu)) == 5);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 3) {
    KernelCache cache(arguments[2]);
    return run(*cache.load(source_of("6.0f"), open_gpu(0).gpu)) == 6 ? 0 : 1;
  }
  std::string pattern = (fs::temp_directory_path() / "cavs_cache_XXXXXX").string();
  place = mkdtemp(pattern.data());
  test_several_processes(arguments[0]);  // first: it forks
  test_kept_files();
  test_unfinished_files();
  test_what_the_hash_holds();
  test_folders_that_cannot_be_written();
  test_several_threads();
  test_what_does_not_compile();
  fs::remove_all(place);
  return cavs_test::result();
}
