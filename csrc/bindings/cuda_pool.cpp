// Memory of GPUs from a pool that Python knows, such as CuPy's, so that both have one.
#include <exception>
#include <string>

#include "base/error.h"
#include "base/everlasting.h"
#include "bindings/bindings.h"
#include "bindings/unlocked.h"
#include "cuda/driver/allocator.h"

namespace py = pybind11;

namespace cavs {
namespace {

struct Functions {
  py::object allocate, release;
};

cuda::Address allocate(int ordinal, size_t bytes) {
  cuda::Address address = 0;
  std::string failed;
  with_interpreter([&] {
    try {
      address = everlasting<Functions>().allocate(ordinal, bytes).cast<cuda::Address>();
    } catch (const std::exception& error) {  // of Python: it needs the lock to be read
      failed = error.what();
    }
  });
  CAVS_CHECK(failed.empty(), ErrorKind::kDevice, "[cuda] expected ", bytes,
             " bytes of a memory pool, got an error (", failed, "); correct the pool");
  return address;
}

// Errors are left: this runs where memory is given back, and at the end of the process.
void release(int ordinal, cuda::Address address) {
  with_interpreter([&] {
    try {
      everlasting<Functions>().release(ordinal, address);
    } catch (const std::exception&) {
    }
  });
}

}  // namespace

void bind_cuda_pool(py::module_& cuda_module) {
  cuda_module.def(
      "set_memory_pool",
      [](const py::object& take, const py::object& give) {
        everlasting<Functions>() = {take, give};
        cuda::set_memory_pool({&allocate, &release});
      },
      py::arg("allocate"), py::arg("release"),
      "Where programs' memory comes from, from now on: allocate(ordinal, bytes) gives an address, "
      "aligned to 256, or 0 where there is no more; release(ordinal, address) takes it back.");
}

}  // namespace cavs
