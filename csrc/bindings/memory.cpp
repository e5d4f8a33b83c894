// Memory that the engine holds between runs, for cavs/memory.
#include <cstdint>

#include "bindings/bindings.h"
#include "runtime/backend.h"

namespace py = pybind11;

namespace cavs {

void bind_memory(py::module_& m) {
  m.def(
      "pooled_bytes",
      [] {
        int64_t bytes = 0;
        for (Backend* backend : backends())
          bytes += backend->arenas().pooled_bytes() + backend->allocator().kept_bytes();
        return bytes;
      },
      "Bytes of arenas that no run has at the moment.");
  m.def(
      "release_memory",
      [] {
        for (Backend* backend : backends()) {
          backend->arenas().clear();
          backend->allocator().trim();
        }
      },
      "Frees the arenas that no run has at the moment.");
}

}  // namespace cavs
