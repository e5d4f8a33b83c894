// A GPU and what lives on it, each with its owner: streams, events, memory, graphs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cuda/driver/driver.h"

namespace cavs::cuda {

// Makes a context current in the calling thread, and at its end the one that was so before: objects
// of a GPU may be given back by any thread, while another GPU is current.
class ContextScope {
 public:
  explicit ContextScope(ContextHandle context) noexcept;
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  ContextHandle before_ = nullptr;
  bool changed_ = false;
};

// Of the calling thread; null where there is none.
ContextHandle current_context() noexcept;

// One GPU with its primary context, which is also that of CuPy, PyTorch and CUDA's runtime:
// addresses, streams and events are of the same context there and here.
class Gpu {
 public:
  explicit Gpu(int ordinal);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  // For the calling thread. Calls of this library make it so at their beginning.
  void make_current() const;
  ContextHandle context() const { return context_; }
  // Waits until all streams are idle; throws what went wrong on the device.
  void synchronize() const;

  const std::string& name() const { return name_; }
  const std::string& architecture() const { return architecture_; }  // "sm_90"
  int attribute(int number) const;
  int processors() const { return processors_; }

 private:
  DeviceNumber number_ = 0;
  ContextHandle context_ = nullptr;
  std::string name_, architecture_;
  int processors_ = 0;
};

class Event {
 public:
  explicit Event(bool timed = false);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  EventHandle handle() const { return handle_; }
  void synchronize() const;
  bool is_done() const;  // whether what it was recorded after has come to pass; never waits
  float milliseconds_since(const Event& start) const;  // both timed, and both have come to pass

 private:
  EventHandle handle_ = nullptr;
};

// A captured sequence of launches and copies, run as one.
class Graph {
 public:
  explicit Graph(GraphHandle graph);  // takes it over
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  GraphExecHandle handle() const { return exec_; }

 private:
  GraphExecHandle exec_ = nullptr;
};

// Work in order. It does not wait for the legacy default stream, nor that for it: whoever shares
// data with another stream records and awaits events.
class Stream {
 public:
  Stream();
  explicit Stream(StreamHandle borrowed) : handle_(borrowed) {}
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  StreamHandle handle() const { return handle_; }
  void synchronize() const;
  void record(const Event& event) const;
  void wait(const Event& event) const;
  void launch(const Graph& graph) const;

  void copy_to_device(Address to, const void* from, size_t bytes) const;
  void copy_to_host(void* to, Address from, size_t bytes) const;
  void copy(Address to, Address from, size_t bytes) const;
  void clear(Address to, size_t bytes) const;

  // What `work` puts on this stream, as a graph; none of it runs. It may not allocate.
  template <class Work>
  std::unique_ptr<Graph> capture(const Work& work) const {
    begin_capture();
    try {
      work();
    } catch (...) {
      abandon_capture();
      throw;
    }
    return end_capture();
  }

 private:
  void begin_capture() const;
  void abandon_capture() const;
  std::unique_ptr<Graph> end_capture() const;

  StreamHandle handle_ = nullptr;
  bool own_ = false;
};

// What is called where a device has no more memory, to give back what can be spared; the context
// stays current.
void set_sparing(void (*spare)());
bool spare_memory();  // calls it; false where there is none

// Calls take() -> a code of the driver; where that says that there is no memory, once more after
// what can be spared was given back.
template <class Take>
Result take_sparing(const Take& take) {
  const Result code = take();
  return code == kNoMemory && spare_memory() ? take() : code;
}

// Memory of a device from its pool: taken and given back in the order of a stream. The pool keeps
// what is given back (see keep_freed_memory), so that taking it again costs about a microsecond.
class DeviceBlock {
 public:
  // Throws std::bad_alloc where there is too little memory.
  DeviceBlock(const Stream& stream, size_t bytes);
  ~DeviceBlock();
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;

  Address address() const { return address_; }
  size_t bytes() const { return bytes_; }
  template <class T>
  T* as() const {  // an address of the device: not to be read here
    return reinterpret_cast<T*>(address_);
  }

 private:
  const Stream& stream_;
  ContextHandle context_ = nullptr;
  Address address_ = 0;
  size_t bytes_ = 0;
};

void keep_freed_memory(const Gpu& gpu, int ordinal);

// Memory of the host that the device copies from and to on its own, so that copies are
// asynchronous.
class PinnedBlock {
 public:
  explicit PinnedBlock(size_t bytes);  // throws OutOfMemory
  ~PinnedBlock();
  PinnedBlock(const PinnedBlock&) = delete;
  PinnedBlock& operator=(const PinnedBlock&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace cavs::cuda
