// How sweeps go on a GPU, for all calls from now on, and what they have asked the driver for.
#include "base/denormals.h"
#include "base/error.h"
#include "bindings/bindings.h"
#include "bindings/program.h"
#include "bindings/unlocked.h"
#include "cuda/driver/counters.h"
#include "cuda/levels/levels_choice.h"
#include "cuda/sweep/graphs.h"
#include "cuda/sweep/prepared.h"

namespace py = pybind11;

namespace cavs {
namespace {

py::dict counts() {
  const cuda::Counters& found = cuda::counters();
  py::dict counts;
  counts["launches"] = found.launches.load();
  counts["graph_launches"] = found.graph_launches.load();
  counts["lost_captures"] = found.lost_captures.load();
  counts["products"] = found.products.load();
  counts["copies_to_device"] = found.copies_to_device.load();
  counts["bytes_to_device"] = found.bytes_to_device.load();
  return counts;
}

py::list levels_choices(const PyProgram& given, const Schedule& schedule, bool keep) {
  const Executable& exe = *given.exe;
  const Program& program = exe.program;
  CAVS_CHECK(program.device.kind == DeviceKind::kCuda, ErrorKind::kValue,
             "[cuda] expected a program of a GPU, got one of the CPU; compile for device='cuda'");
  const bool flush = program.dtype == DType::kFloat32 && flush_denormals();
  std::vector<std::pair<size_t, cuda::LevelsChoice>> found;
  {
    const Unlocked unlocked;
    const cuda::CurrentGpu current(program.device.ordinal);
    const Layout& layout = exe.forward ? exe.backward_layout(false) : exe.layout(keep);
    const cuda::LevelsCode& code = *cuda::cuda_program(exe).code(layout, flush).levels;
    for (size_t s = 0; s < program.segments.size(); ++s) {
      if (program.segments[s].kind != SegmentKind::kLevels) continue;
      found.emplace_back(s, cuda::choose_levels(code, program, s, schedule));
    }
  }
  py::list choices;
  for (const auto& [segment, choice] : found) {
    choices.append(py::make_tuple(segment, choice.levels, choice.together, choice.why_not));
  }
  return choices;
}

}  // namespace

void bind_cuda_settings(py::module_& cuda_module) {
  cuda_module.def("counts", &counts,
                  "Launches of own kernels, of graphs and of cuBLAS's products, captures that "
                  "gave no graph, copies to the device and their bytes, since the process began. "
                  "What is captured into a graph counts once, when it is captured.");
  cuda_module.def("uses_graphs", &cuda::uses_graphs,
                  "Whether a batch that comes again is launched as one graph.");
  cuda_module.def("set_uses_graphs", &cuda::set_uses_graphs, py::arg("enabled"),
                  "Set for all calls from now on; CAVS_CUDA_GRAPHS=0 at the start for none.");
  cuda_module.def("levels_choices", &levels_choices, py::arg("program"), py::arg("schedule"),
                  py::arg("keep"),
                  "(segment, levels with rows, those of them that go together in launches, why the "
                  "others do not) of each levels segment of a program for a GPU. `keep`: whether "
                  "backward follows.");
  cuda_module.def("persistent_levels", &cuda::persistent_levels,
                  "Whether narrow levels go together, in one launch that stays on the GPU.");
  cuda_module.def("set_persistent_levels", &cuda::set_persistent_levels, py::arg("persistent"),
                  "Set for all calls from now on; CAVS_CUDA_PERSISTENT=0 at the start for none.");
}

}  // namespace cavs
