// One checker of arrays for runs, optimisers and training steps.
#include "bindings/array.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "bindings/device_arrays.h"
#include "bindings/dlpack.h"
#include "bindings/read.h"
#include "runtime/backend.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kConvert = "convert it with numpy.asarray";

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr char kForeignOrder = '>';
#else
constexpr char kForeignOrder = '<';
#endif

static_assert(sizeof(Py_ssize_t) == sizeof(int64_t));  // sizes of NumPy's arrays

bool is_aligned(const void* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(item_size(dtype)) == 0;
}

std::optional<DType> engine_dtype(const DlDataType& dtype) {
  if (dtype.lanes != 1) return std::nullopt;
  if (dtype.code == kDlFloat && dtype.bits == 32) return DType::kFloat32;
  if (dtype.code == kDlFloat && dtype.bits == 64) return DType::kFloat64;
  if (dtype.code == kDlInt && dtype.bits == 32) return DType::kInt32;
  return std::nullopt;
}

std::string dtype_text(const DlDataType& dtype) {
  const char* kind = dtype.code == kDlFloat ? "float" : dtype.code == kDlInt ? "int" : "type ";
  const int number = dtype.code == kDlFloat || dtype.code == kDlInt ? dtype.bits : dtype.code;
  return kind + std::to_string(number);
}

ArrayForm form_of(const DlTensor& tensor, bool writable) {
  ArrayForm form;
  form.data = static_cast<char*>(tensor.data) + tensor.byte_offset;
  form.dtype = engine_dtype(tensor.dtype);
  if (!form.dtype) form.other = dtype_text(tensor.dtype);
  form.shape = tensor.shape;
  form.ndim = tensor.ndim;
  form.elements = 1;
  form.dense = !form.dtype || is_aligned(form.data, *form.dtype);
  for (int axis = tensor.ndim - 1; axis >= 0; --axis) {
    const bool along = tensor.shape[axis] == 1 || tensor.strides == nullptr ||
                       tensor.strides[axis] == form.elements;
    form.dense = form.dense && along;
    form.elements *= tensor.shape[axis];
  }
  form.dense = form.dense || form.elements == 0;
  form.writable = writable;
  return form;
}

// The array of an object that has __dlpack__, and in `held` the object that keeps its memory alive.
ArrayForm read_dlpack(py::handle value, const ArrayName& name, py::object* held) {
  try {
    const auto device = value.attr("__dlpack_device__")().cast<std::pair<int, int>>();
    if (device.first != kDlCpu && device.first != kDlCudaHost) {
      name.refuse("an array in this machine's memory", "copy it to the CPU", type_name(value),
                  " on device ", device.first, ":", device.second, " of DLPack");
    }
    const DlArray array = take_dlpack(value);
    *held = array.holder;
    return form_of(*array.tensor, array.writable);
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;  // raised by a signal handler
    name.refuse("an array that can be read", kConvert, type_name(value), " (",
                text_of(error.value()), ")");
  } catch (const py::cast_error&) {
    name.refuse("an array that can be read", kConvert, type_name(value), " of an unknown device");
  }
}

}  // namespace

std::optional<DType> engine_dtype(const py::dtype& dtype) {
  if (dtype.byteorder() == kForeignOrder) return std::nullopt;
  const char kind = dtype.kind();
  const auto bytes = dtype.itemsize();
  if (kind == 'f' && bytes == 4) return DType::kFloat32;
  if (kind == 'f' && bytes == 8) return DType::kFloat64;
  if (kind == 'i' && bytes == 4) return DType::kInt32;
  return std::nullopt;
}

ArrayForm form_of(py::handle array) {
  const auto* fields = py::detail::array_proxy(array.ptr());
  ArrayForm form;
  form.data = fields->data;
  form.dtype = engine_dtype(py::reinterpret_borrow<py::dtype>(fields->descr));
  form.shape = reinterpret_cast<const int64_t*>(fields->dimensions);
  form.ndim = fields->nd;
  form.elements = 1;
  for (int axis = 0; axis < fields->nd; ++axis) form.elements *= fields->dimensions[axis];
  constexpr int kDense = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  form.dense = (fields->flags & kDense) == kDense;
  form.writable = (fields->flags & py::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  return form;
}

Array::Array(py::handle value, const ArrayName& name, bool written, Device device)
    : name_(name), device_(device) {
  ArrayForm form;
  std::vector<int64_t> shape;
  const bool there = is_device_array(value);
  const auto refuse_place = [&](const std::string& place) {
    const std::string wanted = device_name(device);
    name.refuse("an array on " + wanted,
                "move it there with cavs.Tensor(...).to(\"" + wanted + "\")", type_name(value),
                " on ", place);
  };
  if (there != (device.kind == DeviceKind::kCuda)) refuse_place(there ? "a GPU" : "the CPU");
  if (there) {
    held_ = py::reinterpret_borrow<py::object>(value);
    form = read_device_array(value, name, &shape);
    // Without elements any address will do, and of no memory.
    const bool anywhere = form.data == nullptr || form.elements == 0;
    const int ordinal = anywhere ? device.ordinal : cuda_ordinal_of(form.data);
    if (ordinal != device.ordinal) refuse_place("cuda:" + std::to_string(ordinal));
  } else if (py::isinstance<py::array>(value)) {
    held_ = py::reinterpret_borrow<py::object>(value);
    form = form_of(value);
    if (!form.dtype) form.other = py::str(value.attr("dtype"));
  } else if (py::hasattr(value, "__dlpack__")) {
    form = read_dlpack(value, name, &held_);
  } else {
    name.refuse("a NumPy array", kConvert, type_name(value));
  }
  if (!form.dtype) name.refuse("float32, float64 or int32", "convert it", form.other);
  if (!form.dense) {
    name.refuse("a C-contiguous, aligned array", "copy it",
                "one with gaps, in another order or at an odd address");
  }
  data_ = form.data;
  dtype_ = *form.dtype;
  writable_ = form.writable;
  ndim_ = form.ndim;
  elements_ = form.elements;
  std::copy_n(form.shape, std::min<int64_t>(ndim_, 2), dims_);
  if (written) expect_writable();
}

void Array::expect_writable() const {
  if (!writable_) name_.refuse("a writable array", "copy it", "a read-only one");
}

void Array::expect_float() const {
  if (is_int()) name_.refuse("float32 or float64", "convert it", "int32");
}

void Array::expect_like(const Array& other) const {
  if (dtype_ != other.dtype_) {
    name_.refuse(std::string("dtype ") + dtype_name(other.dtype_) + " like " + other.name(),
                 "convert it", dtype_name(dtype_));
  }
  CAVS_CHECK(elements_ == other.elements_, ErrorKind::kShape, "[", name_.component, "] ", name(),
             ": expected ", other.elements_, " elements like ", other.name(), ", got ", elements_,
             "; give both one shape");
}

// Two arrays of one call that share memory would be updated in an order nobody asked for.
void Array::expect_apart(const Array& other) const {
  const auto* begin = static_cast<const char*>(data_);
  const auto* other_begin = static_cast<const char*>(other.data_);
  if (bytes() > 0 && other.bytes() > 0 && begin < other_begin + other.bytes() &&
      other_begin < begin + bytes()) {
    name_.refuse("memory of its own", "copy it", "memory of ", other.name());
  }
}

std::vector<Array> read_arrays(py::handle items, const char* component, const char* name,
                               bool written, Device device) {
  const py::tuple all = read_items(items, component, (std::string(name) + "s").c_str());
  std::vector<Array> arrays;
  arrays.reserve(all.size());
  for (const py::handle item : all) {
    const auto position = static_cast<int64_t>(arrays.size());
    arrays.emplace_back(item, ArrayName{component, ErrorKind::kShape, name, position}, written,
                        device);
  }
  return arrays;
}

std::vector<Array> read_inputs(py::handle items, const char* component, Device device) {
  if (device.kind == DeviceKind::kCpu) return read_arrays(items, component, "input", false);
  std::vector<Array> arrays;
  for (const py::handle item : read_items(items, component, "inputs")) {
    const auto position = static_cast<int64_t>(arrays.size());
    const ArrayName name = {component, ErrorKind::kShape, "input", position};
    const bool there = is_device_array(item);
    arrays.emplace_back(item, name, false, there ? device : Device{});
    if (arrays.back().is_int() == there) {
      name.refuse("integers on the CPU and all else on " + device_name(device), "move it",
                  dtype_name(arrays.back().dtype()), " on ", there ? "the GPU" : "the CPU");
    }
  }
  return arrays;
}

}  // namespace cavs
