// Reads arrays of a GPU by their interface, and has Python make new ones.
#include "bindings/device_arrays.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <utility>

#include "base/everlasting.h"
#include "bindings/read.h"

namespace py = pybind11;

namespace cavs {
namespace {

constexpr const char* kInterface = "__cuda_array_interface__";

std::optional<DType> dtype_of(const std::string& type) {
  if (type == "<f4" || type == "=f4") return DType::kFloat32;
  if (type == "<f8" || type == "=f8") return DType::kFloat64;
  if (type == "<i4" || type == "=i4") return DType::kInt32;
  return std::nullopt;
}

[[noreturn]] void refuse(const ArrayName& name, py::handle value, const std::string& got) {
  name.refuse("an array of a GPU", "convert it with cavs.Tensor(...).to(device)", type_name(value),
              " ", got);
}

struct Makers {
  py::object make, wrap;
};

py::tuple tuple_of(const std::vector<int64_t>& shape) {
  py::tuple sizes(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) sizes[i] = shape[i];
  return sizes;
}

}  // namespace

bool is_device_array(py::handle value) {
  // Asking for what is not there takes a microsecond.
  const bool plain = Py_TYPE(value.ptr()) == py::detail::npy_api::get().PyArray_Type_;
  return !plain && py::hasattr(value, kInterface);
}

ArrayForm read_device_array(py::handle value, const ArrayName& name, std::vector<int64_t>* shape) {
  try {
    const auto interface = value.attr(kInterface).cast<py::dict>();
    ArrayForm form;
    *shape = interface["shape"].cast<std::vector<int64_t>>();
    const auto data = interface["data"].cast<std::pair<uintptr_t, bool>>();
    const auto type = interface["typestr"].cast<std::string>();
    form.data = reinterpret_cast<void*>(data.first);
    form.writable = !data.second;
    form.dtype = dtype_of(type);
    if (!form.dtype) form.other = type;
    form.shape = shape->data();
    form.ndim = static_cast<int64_t>(shape->size());
    form.elements = 1;
    for (const int64_t size : *shape) form.elements *= size;
    form.dense = !form.dtype || data.first % static_cast<uintptr_t>(item_size(*form.dtype)) == 0;
    if (interface.contains("strides") && !interface["strides"].is_none() && form.dtype) {
      const auto strides = interface["strides"].cast<std::vector<int64_t>>();
      int64_t step = item_size(*form.dtype);
      for (size_t i = shape->size(); i-- > 0;) {
        form.dense = form.dense && ((*shape)[i] == 1 || strides.at(i) == step);
        step *= (*shape)[i];
      }
      form.dense = form.dense || form.elements == 0;
    }
    return form;
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;  // raised by a signal handler
    refuse(name, value, "(" + text_of(error.value()) + ")");
  } catch (const py::cast_error&) {
    refuse(name, value, std::string("with a wrong ") + kInterface);
  } catch (const std::out_of_range&) {
    refuse(name, value, std::string("with a wrong ") + kInterface);
  }
}

void set_array_makers(const py::object& make, const py::object& wrap) {
  everlasting<Makers>() = {make, wrap};
}

py::object make_device_array(Device device, const std::vector<int64_t>& shape, DType dtype) {
  CAVS_CHECK(everlasting<Makers>().make, ErrorKind::kDevice,
             "[cuda] expected arrays of a GPU, got none; import cavs before its native engine");
  return everlasting<Makers>().make(device.ordinal, tuple_of(shape), dtype_name(dtype));
}

py::object wrap_device_array(Device device, const void* data, const std::vector<int64_t>& shape,
                             DType dtype, const py::object& owner) {
  CAVS_CHECK(everlasting<Makers>().wrap, ErrorKind::kDevice,
             "[cuda] expected arrays of a GPU, got none; import cavs before its native engine");
  return everlasting<Makers>().wrap(device.ordinal, reinterpret_cast<uintptr_t>(data),
                                    tuple_of(shape), dtype_name(dtype), owner);
}

}  // namespace cavs
