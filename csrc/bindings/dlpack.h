// DLPack, the exchange of arrays between libraries (github.com/dmlc/dlpack): its structures, with
// names of ours, and how a tensor is taken over.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace cavs {

enum DlDeviceType : int32_t { kDlCpu = 1, kDlCuda = 2, kDlCudaHost = 3 };
enum DlTypeCode : uint8_t { kDlInt = 0, kDlUInt = 1, kDlFloat = 2 };

struct DlDevice {
  int32_t type, id;
};

struct DlDataType {
  uint8_t code, bits;
  uint16_t lanes;
};

struct DlTensor {
  void* data;
  DlDevice device;
  int32_t ndim;
  DlDataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; null where it is C-contiguous
  uint64_t byte_offset;
};

// The content of a capsule "dltensor".
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor*);
};

// The content of a capsule "dltensor_versioned", from version 1.0 on.
struct DlVersionedTensor {
  uint32_t major, minor;
  void* context;
  void (*deleter)(DlVersionedTensor*);
  uint64_t flags;  // the first bit: read-only
  DlTensor tensor;
};

struct DlArray {
  pybind11::object holder;  // keeps the memory and `tensor` alive
  const DlTensor* tensor;
  bool writable;
};

// Takes the tensor of an object that has __dlpack__. Exceptions of __dlpack__ pass on; throws
// BufferError where it returns something else than a tensor.
DlArray take_dlpack(pybind11::handle value);

}  // namespace cavs
