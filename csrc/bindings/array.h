// Arrays of callers as the engine takes them: arrays of NumPy, or of any library that has
// __dlpack__.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/device.h"
#include "base/dtype.h"
#include "base/error.h"

namespace cavs {

// None for a dtype that the engine does not have, and for foreign byte order.
std::optional<DType> engine_dtype(const pybind11::dtype& dtype);

// An array as it stands. To be read at once, because `shape` is the caller's memory.
struct ArrayForm {
  void* data = nullptr;
  std::optional<DType> dtype;
  std::string other;  // the dtype where it is none of the engine's
  const int64_t* shape = nullptr;
  int64_t ndim = 0;
  int64_t elements = 0;
  bool dense = false;  // C-contiguous and aligned
  bool writable = false;
};

// The form of an object that is known to be a NumPy array; `other` is left empty.
ArrayForm form_of(pybind11::handle array);

// The name of an array in errors: "[component] name: expected ...", or for an array in a list
// "[component] expected ... as name 3, ...".
struct ArrayName {
  const char* component;
  ErrorKind kind;
  const char* name;
  int64_t position = -1;

  // The text before "expected", and the text after the expectation.
  std::string before() const { return position < 0 ? std::string(name) + ": " : ""; }
  std::string as() const {
    return position < 0 ? "" : std::string(" as ") + name + " " + std::to_string(position);
  }
  // Throws Error: "expected EXPECTED, got GOT; REMEDY".
  template <class... Parts>
  [[noreturn]] void refuse(const std::string& expected, const std::string& remedy,
                           const Parts&... got) const {
    fail(kind, "[", component, "] ", before(), "expected ", expected, as(), ", got ", got..., "; ",
         remedy);
  }
};

// An array that was checked: C-contiguous, aligned, of a dtype of the engine, in this machine's
// memory or in that of a GPU. The object holds the memory as long as it lives.
class Array {
 public:
  // Throws Error of the name's kind where the array is not so, is not on the device, or is
  // read-only and to be written.
  Array(pybind11::handle value, const ArrayName& name, bool written, Device device = {});

  // Each throws in the same way.
  void expect_writable() const;
  void expect_float() const;
  void expect_like(const Array& other) const;   // of its dtype and as many elements
  void expect_apart(const Array& other) const;  // shares no memory with it

  Device device() const { return device_; }
  DType dtype() const { return dtype_; }
  bool is_double() const { return dtype_ == DType::kFloat64; }
  bool is_int() const { return dtype_ == DType::kInt32; }
  int64_t size() const { return elements_; }
  int64_t ndim() const { return ndim_; }
  int64_t dim(int axis) const { return dims_[axis]; }  // of the first two
  const char* name() const { return name_.name; }
  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

 private:
  int64_t bytes() const { return elements_ * item_size(dtype_); }

  ArrayName name_;
  Device device_;
  pybind11::object held_;  // keeps the memory alive
  void* data_;
  DType dtype_;
  bool writable_;
  int64_t ndim_, elements_;
  int64_t dims_[2] = {0, 0};
};

// The arrays of any iterable, all on one device; errors call one of them `name`.
std::vector<Array> read_arrays(pybind11::handle items, const char* component, const char* name,
                               bool written, Device device = {});

// The inputs of a run on the device: integers stand in this machine's memory, where distinct ids
// are counted, and all else on the device.
std::vector<Array> read_inputs(pybind11::handle items, const char* component, Device device);

}  // namespace cavs
