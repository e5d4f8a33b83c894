// The parts of the extension module cavs._core; one file of the same name each.
#pragma once

#include <pybind11/pybind11.h>

namespace cavs {

void bind_cuda(pybind11::module_& m);
void bind_cuda_compile(pybind11::module_& cuda_module);
void bind_cuda_pool(pybind11::module_& cuda_module);
void bind_cuda_settings(pybind11::module_& cuda_module);
void bind_linalg(pybind11::module_& m);
void bind_loops(pybind11::module_& m);
void bind_graph(pybind11::module_& m);
void bind_growth(pybind11::module_& m);
void bind_inputs(pybind11::module_& m);
void bind_kernels(pybind11::module_& m);
void bind_lend(pybind11::module_& m);
void bind_memory(pybind11::module_& m);
void bind_optim(pybind11::module_& m);
void bind_plans(pybind11::module_& m);
void bind_program(pybind11::module_& m);
void bind_random(pybind11::module_& m);
void bind_runtime(pybind11::module_& m);
void bind_schedule(pybind11::module_& m);
void bind_step(pybind11::module_& m);
void bind_words(pybind11::module_& m);

}  // namespace cavs
