// Calls the driver for GPUs, streams, events, graphs and memory.
#include "cuda/driver/gpu.h"

#include <atomic>

#include "cuda/driver/counters.h"

namespace cavs::cuda {
namespace {

// CUdevice_attribute
constexpr int kComputeMajor = 75, kComputeMinor = 76, kProcessors = 16;
constexpr unsigned kNonBlocking = 1;    // CU_STREAM_NON_BLOCKING
constexpr unsigned kDisableTiming = 2;  // CU_EVENT_DISABLE_TIMING
constexpr int kCaptureThreadLocal = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
constexpr int kReleaseThreshold = 4;    // CU_MEMPOOL_ATTR_RELEASE_THRESHOLD

}  // namespace

ContextHandle current_context() noexcept {
  ContextHandle context = nullptr;
  driver().cuCtxGetCurrent(&context);
  return context;
}

ContextScope::ContextScope(ContextHandle context) noexcept : before_(current_context()) {
  changed_ = context != nullptr && context != before_;
  if (changed_) driver().cuCtxSetCurrent(context);
}
ContextScope::~ContextScope() {
  if (changed_) driver().cuCtxSetCurrent(before_);
}

Gpu::Gpu(int ordinal) {
  check(driver().cuInit(0), "a driver that starts");
  int count = 0;
  check(driver().cuDeviceGetCount(&count), "the number of devices");
  if (ordinal < 0 || ordinal >= count)
    fail("[cuda] expected a GPU in 0..", count - 1, ", got ", ordinal,
         "; pass one of these numbers");
  check(driver().cuDeviceGet(&number_, ordinal), "device ", ordinal);
  char text[256] = {};
  check(driver().cuDeviceGetName(text, sizeof text, number_), "the name of device ", ordinal);
  name_ = text;
  architecture_ = "sm_" + std::to_string(attribute(kComputeMajor) * 10 + attribute(kComputeMinor));
  processors_ = attribute(kProcessors);
  check(driver().cuDevicePrimaryCtxRetain(&context_, number_), "the context of device ", ordinal);
  make_current();
}

Gpu::~Gpu() { driver().cuDevicePrimaryCtxRelease(number_); }

void Gpu::make_current() const {
  check(driver().cuCtxSetCurrent(context_), "the context of ", name_);
}

void Gpu::synchronize() const { check(driver().cuCtxSynchronize(), "work without errors"); }

int Gpu::attribute(int number) const {
  int value = 0;
  check(driver().cuDeviceGetAttribute(&value, number, number_), "device attribute ", number);
  return value;
}

Event::Event(bool timed) {
  check(driver().cuEventCreate(&handle_, timed ? 0 : kDisableTiming), "an event");
}
Event::~Event() { driver().cuEventDestroy(handle_); }

void Event::synchronize() const {
  check(driver().cuEventSynchronize(handle_), "work without errors");
}

bool Event::is_done() const {
  constexpr Result kNotReady = 600;  // CUDA_ERROR_NOT_READY
  const Result code = driver().cuEventQuery(handle_);
  if (code != kNotReady) check(code, "work without errors");
  return code == 0;
}

float Event::milliseconds_since(const Event& start) const {
  float result = 0;
  check(driver().cuEventElapsedTime(&result, start.handle_, handle_), "the time of two events");
  return result;
}

Graph::Graph(GraphHandle graph) {
  const Result code = driver().cuGraphInstantiate(&exec_, graph, 0);
  driver().cuGraphDestroy(graph);
  check(code, "a graph that can run");
}
Graph::~Graph() { driver().cuGraphExecDestroy(exec_); }

Stream::Stream() : own_(true) {
  check(driver().cuStreamCreate(&handle_, kNonBlocking), "a stream");
}
Stream::~Stream() {
  if (own_) driver().cuStreamDestroy(handle_);
}

void Stream::synchronize() const {
  check(driver().cuStreamSynchronize(handle_), "work without errors");
}
void Stream::record(const Event& event) const {
  check(driver().cuEventRecord(event.handle(), handle_), "an event of this device");
}
void Stream::wait(const Event& event) const {
  check(driver().cuStreamWaitEvent(handle_, event.handle(), 0), "an event of this device");
}
void Stream::launch(const Graph& graph) const {
  count(counters().graph_launches);
  check(driver().cuGraphLaunch(graph.handle(), handle_), "a graph that runs");
}

void Stream::copy_to_device(Address to, const void* from, size_t bytes) const {
  if (bytes == 0) return;
  count(counters().copies_to_device);
  count(counters().bytes_to_device, static_cast<int64_t>(bytes));
  check(driver().cuMemcpyHtoDAsync(to, from, bytes, handle_), "a copy of ", bytes,
        " bytes to the device");
}
void Stream::copy_to_host(void* to, Address from, size_t bytes) const {
  if (bytes == 0) return;
  check(driver().cuMemcpyDtoHAsync(to, from, bytes, handle_), "a copy of ", bytes,
        " bytes from the device");
}
void Stream::copy(Address to, Address from, size_t bytes) const {
  if (bytes == 0) return;
  check(driver().cuMemcpyDtoDAsync(to, from, bytes, handle_), "a copy of ", bytes,
        " bytes on the device");
}
void Stream::clear(Address to, size_t bytes) const {
  if (bytes == 0) return;
  check(driver().cuMemsetD8Async(to, 0, bytes, handle_), "zeros in ", bytes, " bytes");
}

void Stream::begin_capture() const {
  check(driver().cuStreamBeginCapture(handle_, kCaptureThreadLocal),
        "a stream that can be captured");
}

void Stream::abandon_capture() const {
  GraphHandle graph = nullptr;
  driver().cuStreamEndCapture(handle_, &graph);
  if (graph != nullptr) driver().cuGraphDestroy(graph);
}

std::unique_ptr<Graph> Stream::end_capture() const {
  GraphHandle graph = nullptr;
  check(driver().cuStreamEndCapture(handle_, &graph), "work that can be captured");
  return std::make_unique<Graph>(graph);
}

namespace {
std::atomic<void (*)()> sparing{nullptr};
}

void set_sparing(void (*spare)()) { sparing = spare; }

bool spare_memory() {
  void (*const spare)() = sparing;
  if (spare == nullptr) return false;
  spare();
  return true;
}

DeviceBlock::DeviceBlock(const Stream& stream, size_t bytes)
    : stream_(stream), context_(current_context()), bytes_(bytes) {
  check(take_sparing([&] {
          return driver().cuMemAllocAsync(&address_, bytes == 0 ? 1 : bytes, stream.handle());
        }),
        bytes, " bytes");
}
DeviceBlock::~DeviceBlock() {
  const ContextScope scope(context_);
  driver().cuMemFreeAsync(address_, stream_.handle());
}

void keep_freed_memory(const Gpu& gpu, int ordinal) {
  PoolHandle pool = nullptr;
  gpu.make_current();
  check(driver().cuDeviceGetDefaultMemPool(&pool, ordinal), "the memory pool of ", gpu.name());
  unsigned long long all = ~0ull;
  check(driver().cuMemPoolSetAttribute(pool, kReleaseThreshold, &all), "a pool that keeps memory");
}

PinnedBlock::PinnedBlock(size_t bytes) : bytes_(bytes) {
  void* data = nullptr;
  const Result code = driver().cuMemHostAlloc(&data, bytes == 0 ? 1 : bytes, 0);
  if (code == kNoMemory) throw OutOfMemory(bytes);
  check(code, bytes, " bytes of pinned memory");
  data_ = static_cast<std::byte*>(data);
}
PinnedBlock::~PinnedBlock() { driver().cuMemFreeHost(data_); }

}  // namespace cavs::cuda
