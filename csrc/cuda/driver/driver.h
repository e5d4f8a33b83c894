// The functions used of CUDA's driver, NVRTC and cuBLAS, found when they are first needed. Nothing
// of CUDA is there when this is built, so that one build serves machines with and without a GPU.
//
// The lists below are the one place that names a function: from them come the tables of pointers,
// the declarations that the emulated driver must satisfy, and the comparison with CUDA's own
// headers (check_abi.cpp).
#pragma once

#include <cstddef>
#include <sstream>
#include <string>

#include "base/error.h"

// The tags that CUDA's headers give to what the handles point to.
struct CUctx_st;
struct CUmod_st;
struct CUfunc_st;
struct CUstream_st;
struct CUevent_st;
struct CUgraph_st;
struct CUgraphExec_st;
struct CUmemPoolHandle_st;
struct _nvrtcProgram;
struct cublasContext;

namespace cavs::cuda {

using Result = int;                  // of all three libraries: 0 is success
using Address = unsigned long long;  // in device memory
using DeviceNumber = int;
using ContextHandle = CUctx_st*;
using ModuleHandle = CUmod_st*;
using FunctionHandle = CUfunc_st*;
using StreamHandle = CUstream_st*;
using EventHandle = CUevent_st*;
using GraphHandle = CUgraph_st*;
using GraphExecHandle = CUgraphExec_st*;
using PoolHandle = CUmemPoolHandle_st*;
using ProgramHandle = _nvrtcProgram*;
using BlasHandle = cublasContext*;

// F(name, suffix of the symbol, parameters). A suffix is the version of the function that these
// parameters belong to.
#define CAVS_CUDA_DRIVER_FUNCTIONS(F)                                                              \
  F(cuInit, , (unsigned flags))                                                                    \
  F(cuDriverGetVersion, , (int* version))                                                          \
  F(cuGetErrorName, , (Result code, const char** name))                                            \
  F(cuGetErrorString, , (Result code, const char** text))                                          \
  F(cuDeviceGetCount, , (int* count))                                                              \
  F(cuDeviceGet, , (DeviceNumber * device, int ordinal))                                           \
  F(cuDeviceGetName, , (char* name, int bytes, DeviceNumber device))                               \
  F(cuDeviceGetAttribute, , (int* value, int attribute, DeviceNumber device))                      \
  F(cuDeviceTotalMem, _v2, (size_t* bytes, DeviceNumber device))                                   \
  F(cuDeviceGetDefaultMemPool, , (PoolHandle * pool, DeviceNumber device))                         \
  F(cuDevicePrimaryCtxRetain, , (ContextHandle * context, DeviceNumber device))                    \
  F(cuDevicePrimaryCtxRelease, _v2, (DeviceNumber device))                                         \
  F(cuCtxGetCurrent, , (ContextHandle * context))                                                  \
  F(cuCtxSetCurrent, , (ContextHandle context))                                                    \
  F(cuCtxSynchronize, , ())                                                                        \
  F(cuMemGetInfo, _v2, (size_t* free, size_t* total))                                              \
  F(cuMemAlloc, _v2, (Address * address, size_t bytes))                                            \
  F(cuMemFree, _v2, (Address address))                                                             \
  F(cuMemAllocAsync, , (Address * address, size_t bytes, StreamHandle stream))                     \
  F(cuMemFreeAsync, , (Address address, StreamHandle stream))                                      \
  F(cuMemPoolSetAttribute, , (PoolHandle pool, int attribute, void* value))                        \
  F(cuPointerGetAttribute, , (void* value, int attribute, Address address))                        \
  F(cuMemHostAlloc, , (void** data, size_t bytes, unsigned flags))                                 \
  F(cuMemFreeHost, , (void* data))                                                                 \
  F(cuMemcpyHtoDAsync, _v2, (Address to, const void* from, size_t bytes, StreamHandle stream))     \
  F(cuMemcpyDtoHAsync, _v2, (void* to, Address from, size_t bytes, StreamHandle stream))           \
  F(cuMemcpyDtoDAsync, _v2, (Address to, Address from, size_t bytes, StreamHandle stream))         \
  F(cuMemsetD8Async, , (Address to, unsigned char value, size_t count, StreamHandle stream))       \
  F(cuStreamCreate, , (StreamHandle * stream, unsigned flags))                                     \
  F(cuStreamDestroy, _v2, (StreamHandle stream))                                                   \
  F(cuStreamSynchronize, , (StreamHandle stream))                                                  \
  F(cuStreamWaitEvent, , (StreamHandle stream, EventHandle event, unsigned flags))                 \
  F(cuStreamBeginCapture, _v2, (StreamHandle stream, int mode))                                    \
  F(cuStreamEndCapture, , (StreamHandle stream, GraphHandle * graph))                              \
  F(cuEventCreate, , (EventHandle * event, unsigned flags))                                        \
  F(cuEventDestroy, _v2, (EventHandle event))                                                      \
  F(cuEventRecord, , (EventHandle event, StreamHandle stream))                                     \
  F(cuEventQuery, , (EventHandle event))                                                           \
  F(cuEventSynchronize, , (EventHandle event))                                                     \
  F(cuEventElapsedTime, , (float* milliseconds, EventHandle start, EventHandle end))               \
  F(cuModuleLoadData, , (ModuleHandle * module, const void* image))                                \
  F(cuModuleUnload, , (ModuleHandle module))                                                       \
  F(cuModuleGetFunction, , (FunctionHandle * function, ModuleHandle module, const char* name))     \
  F(cuFuncGetAttribute, , (int* value, int attribute, FunctionHandle function))                    \
  F(cuFuncSetAttribute, , (FunctionHandle function, int attribute, int value))                     \
  F(cuFuncGetParamInfo, , (FunctionHandle function, size_t index, size_t* offset, size_t* bytes))  \
  F(cuOccupancyMaxActiveBlocksPerMultiprocessor, ,                                                 \
    (int* blocks, FunctionHandle function, int threads, size_t shared_bytes))                      \
  F(cuLaunchKernel, ,                                                                              \
    (FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle stream,               \
     void** parameters, void** extra))                                                             \
  F(cuLaunchCooperativeKernel, ,                                                                   \
    (FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle stream,               \
     void** parameters))                                                                           \
  F(cuGraphInstantiate, WithFlags,                                                                 \
    (GraphExecHandle * exec, GraphHandle graph, unsigned long long flags))                         \
  F(cuGraphLaunch, , (GraphExecHandle exec, StreamHandle stream))                                  \
  F(cuGraphExecDestroy, , (GraphExecHandle exec))                                                  \
  F(cuGraphDestroy, , (GraphHandle graph))

#define CAVS_CUDA_NVRTC_FUNCTIONS(F)                                                             \
  F(nvrtcVersion, , (int* major, int* minor))                                                    \
  F(nvrtcCreateProgram, ,                                                                        \
    (ProgramHandle * program, const char* source, const char* name, int num_headers,             \
     const char* const* headers, const char* const* header_names))                               \
  F(nvrtcDestroyProgram, , (ProgramHandle * program))                                            \
  F(nvrtcCompileProgram, , (ProgramHandle program, int num_options, const char* const* options)) \
  F(nvrtcGetProgramLogSize, , (ProgramHandle program, size_t* bytes))                            \
  F(nvrtcGetProgramLog, , (ProgramHandle program, char* log))                                    \
  F(nvrtcGetCUBINSize, , (ProgramHandle program, size_t* bytes))                                 \
  F(nvrtcGetCUBIN, , (ProgramHandle program, char* cubin))

#define CAVS_CUDA_BLAS_FUNCTIONS(F)                                                               \
  F(cublasCreate, _v2, (BlasHandle * handle))                                                     \
  F(cublasDestroy, _v2, (BlasHandle handle))                                                      \
  F(cublasGetVersion, _v2, (BlasHandle handle, int* version))                                     \
  F(cublasSetMathMode, , (BlasHandle handle, int mode))                                           \
  F(cublasSetStream, _v2, (BlasHandle handle, StreamHandle stream))                               \
  F(cublasSetWorkspace, _v2, (BlasHandle handle, void* workspace, size_t bytes))                  \
  F(cublasSgemm, _v2,                                                                             \
    (BlasHandle handle, int trans_a, int trans_b, int m, int n, int k, const float* alpha,        \
     const float* a, int lda, const float* b, int ldb, const float* beta, float* c, int ldc))     \
  F(cublasDgemm, _v2,                                                                             \
    (BlasHandle handle, int trans_a, int trans_b, int m, int n, int k, const double* alpha,       \
     const double* a, int lda, const double* b, int ldb, const double* beta, double* c, int ldc)) \
  F(cublasSgemmStridedBatched, ,                                                                  \
    (BlasHandle handle, int trans_a, int trans_b, int m, int n, int k, const float* alpha,        \
     const float* a, int lda, long long stride_a, const float* b, int ldb, long long stride_b,    \
     const float* beta, float* c, int ldc, long long stride_c, int count))                        \
  F(cublasDgemmStridedBatched, ,                                                                  \
    (BlasHandle handle, int trans_a, int trans_b, int m, int n, int k, const double* alpha,       \
     const double* a, int lda, long long stride_a, const double* b, int ldb, long long stride_b,  \
     const double* beta, double* c, int ldc, long long stride_c, int count))

#define CAVS_CUDA_MEMBER(name, suffix, parameters) Result(*name) parameters = nullptr;
struct DriverTable {
  CAVS_CUDA_DRIVER_FUNCTIONS(CAVS_CUDA_MEMBER)
};
struct NvrtcTable {
  CAVS_CUDA_NVRTC_FUNCTIONS(CAVS_CUDA_MEMBER)
};
struct BlasTable {
  CAVS_CUDA_BLAS_FUNCTIONS(CAVS_CUDA_MEMBER)
};
#undef CAVS_CUDA_MEMBER

// Of the driver's number 1000 * major + 10 * minor.
std::string version_text(int version);

// The file of the library that a function comes from; empty where it is not known.
std::string file_of(const void* function);

// Throws Error(kDevice); messages read "[cuda] expected X, got Y; do Z".
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  cavs::fail(ErrorKind::kDevice, parts...);
}

// Where the libraries come from. With `emulated`, all three are that one file.
struct LibraryPaths {
  std::string emulated;  // CAVS_CUDA_DRIVER
  std::string folders;   // CAVS_CUDA_LIBRARY_PATH: of libnvrtc and libcublas, parted by ':'
};
LibraryPaths library_paths_from_environment();
// Before the first use; later it is without effect, as is a change of the environment.
void set_library_paths(LibraryPaths paths);

// The tables; each is loaded once, when it is first asked for. They throw Error(kDevice) where the
// library or a function of it is missing. BLAS is a separate table because it takes long to load.
const DriverTable& driver();
const NvrtcTable& nvrtc();
const BlasTable& blas();
bool is_emulated();

// Whether this process was forked from one that had called the driver, which cannot be used in it
// then: calls of it and of cuBLAS give an error, and only them, so that objects can still end.
bool is_forked();
// A function that only the emulated driver has, for tests; null with a real one.
void* emulator_function(const char* name);

// The oldest driver that has all of the functions above; but cuFuncGetParamInfo came later, and is
// null before.
constexpr int kLeastDriverVersion = 12000, kParameterInfoVersion = 12040;

std::string describe(Result code);  // of the driver: "CUDA_ERROR_INVALID_VALUE (invalid argument)"

constexpr Result kNoMemory = 2;  // CUDA_ERROR_OUT_OF_MEMORY
// Throws std::bad_alloc that says what the current device has.
[[noreturn]] void fail_for_memory(const std::string& expected);

// Throws Error(kDevice) for a code of the driver that is no success; std::bad_alloc where there
// is too little memory.
template <class... Parts>
void check(Result code, const Parts&... expected) {
  if (code == 0) return;
  if (code == kNoMemory) {
    std::ostringstream what;
    (what << ... << expected);
    fail_for_memory(what.str());
  }
  fail("[cuda] expected ", expected..., ", got ", describe(code),
       "; see docs/gpu.md, Troubleshooting");
}

}  // namespace cavs::cuda
