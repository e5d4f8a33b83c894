// A GPU of the tests: CUDA's driver, NVRTC and cuBLAS, as far as driver.h names them, on the CPU.
// It is strict where a real one is not, so that errors show here.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "cuda/driver/driver.h"

namespace emulator {

using namespace cavs::cuda;

// Codes of CUDA's driver that the emulator gives.
enum Code : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kInvalidDevice = 101,
  kInvalidImage = 200,
  kInvalidContext = 201,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchFailed = 719,
  kCooperativeLaunchTooLarge = 720,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
};

struct Failure {
  int code;
  std::string message;
};

template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream stream;
  static_cast<void>((stream << ... << parts));
  return stream.str();
}

// Ends a call of the API with this code; `detail` is what cavs_emulator_detail() gives then.
template <class... Parts>
[[noreturn]] void stop(int code, const Parts&... detail) {
  throw Failure{code, text(detail...)};
}

// What tests may ask: how often things happened since the last reset.
struct Counts {
  int64_t launches = 0, cooperative_launches = 0, graph_launches = 0, products = 0;
  int64_t copies_to_device = 0, copies_to_host = 0, bytes_to_device = 0, bytes_to_host = 0;
  int64_t allocations = 0, compilations = 0, synchronizations = 0;
};

struct Settings {
  bool strict =
      false;  // CAVS_EMULATOR_STRICT=1: device memory is out of the host's reach between calls
  bool immediate =
      false;          // CAVS_EMULATOR_IMMEDIATE=1: work runs when it is given, not when awaited
  std::string order;  // CAVS_EMULATOR_ORDER: forward, reverse or shuffle, of threads and blocks
  int devices = 1;    // CAVS_EMULATOR_DEVICES: they do not reach each other's memory
};
const Settings& settings();

// What a device says of itself, and holds to: an H100's, but for the number of its processors, so
// that tests of cooperative launches need few fibers.
constexpr unsigned kMostThreads = 1024;
constexpr unsigned kMostShared = 227 * 1024;
constexpr unsigned kThreadsOfProcessor = 2048;
constexpr int kProcessors = 4;
constexpr unsigned kLanes = 32;
constexpr int kMostDevices = 8;

// memory.cpp
enum class Place { kDevice, kHost };
uintptr_t allocate(size_t bytes, Place place);  // of the current device
void release(uintptr_t address, Place place);
// From now on memory of the host, of another library, is memory of the device; false, and nothing
// happens, where it is that of a device already. disown() ends it.
bool adopt(uintptr_t address, size_t bytes, int device);
void disown(uintptr_t address);
// Throws Failure unless all of these bytes are of one allocation, of this device where it is one of
// a device.
void check_range(uintptr_t address, size_t bytes, Place place, int device, const char* what);
bool is_pinned(const void* data, size_t bytes);
// The device whose memory it is, or -1.
int device_of_address(uintptr_t address);
std::string describe_address(uintptr_t address);
int64_t live_allocations();
size_t bytes_in_use(int device);
size_t memory_limit();                // bytes of each device: CAVS_EMULATOR_MEMORY, or 8 GiB
void set_memory_limit(size_t bytes);  // 0: as it was
// For tests: after `after` more requests for memory of devices or pinned memory, `count` fail.
// Gives how many were still to fail.
int64_t fail_allocations(int64_t after, int64_t count);
void fail_if_chosen();
// The memory of this device is within reach while one of these lives; that of others is not.
class Reach {
 public:
  explicit Reach(int device);
  ~Reach();

 private:
  int before_;
};
// Between them the host may read and write device memory, as arrays of Python do, which NumPy
// computes. Work that another thread has a device do reaches all memory meanwhile.
void begin_host_use();
void end_host_use();

// work.cpp: streams, events and graphs
using Work = std::function<void()>;
struct EventState {
  int device = 0;
  CUstream_st* stream = nullptr;  // in whose queue its last record waits
  int64_t recorded = 0, happened = 0;
  double time = 0;  // seconds
};

}  // namespace emulator

struct CUctx_st {
  int device;
};
struct CUgraph_st {
  int device = 0;
  std::vector<emulator::Work> work;
};
struct CUgraphExec_st {
  int device = 0;
  std::vector<emulator::Work> work;
};
struct CUstream_st {
  int device = 0;
  std::deque<emulator::Work> queue;
  CUgraph_st* capture = nullptr;
  bool invalid_capture = false;
};
struct CUevent_st {
  bool timed = true;
  std::shared_ptr<emulator::EventState> state = std::make_shared<emulator::EventState>();
};

namespace emulator {

bool is_captured(StreamHandle stream);
int device_of(StreamHandle stream);
void put(StreamHandle stream, Work work);  // at the end of the stream, or of the graph it captures
void finish(StreamHandle stream);          // runs what waits there; not while it is captured
void finish_all(int device);

struct Dimensions {
  unsigned x, y, z;
};

// calls.cpp
Counts& counts();
extern std::recursive_mutex api_mutex;
extern int stuck;  // the code of a failure on the device, which every later call gives
Result fail_call(const Failure& failure);
void fail_device(const Failure& failure);
double now();
int current_device();  // stops unless this thread has a context
int driver_version();  // CAVS_EMULATOR_VERSION, or 13000

// All calls of the API run through this: one at a time, their failures made into codes.

template <class Body>
Result call(const Body& body) {
  const std::lock_guard<std::recursive_mutex> guard(api_mutex);
  if (stuck != 0) return stuck;
  try {
    body();
    return kSuccess;
  } catch (const Failure& failure) {
    return fail_call(failure);
  }
}

}  // namespace emulator

// The functions as driver.h declares them: one that is defined with other parameters does not
// compile.
#define CAVS_CUDA_DECLARE(name, suffix, parameters) \
  __attribute__((visibility("default"))) Result name##suffix parameters;
extern "C" {
using namespace cavs::cuda;
CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_CUDA_DECLARE)
CAVS_CUDA_NVRTC_FUNCTIONS(CAVS_CUDA_DECLARE)
CAVS_CUDA_BLAS_FUNCTIONS(CAVS_CUDA_DECLARE)
}
#undef CAVS_CUDA_DECLARE
