// Elementwise groups as CUDA C++, each printed for one instruction "fused" of a program and
// launched by its name.
//
// Widths and leading dimensions are compiled in; addresses, tables and rows are arguments, so that
// the text depends on the program and its layout alone. For a group NAME the text has
//
//   struct NAME_arguments                                  pointers, those that the group needs
//   __device__ void NAME(const NAME_arguments&, Rows, Team)    a part of any kernel; no barrier
//   __device__ void NAME_columns<N>(...)                       the same by N columns of a thread
//   extern "C" __global__ NAME_kernel(NAME_arguments, Rows)    the same by the whole grid
#pragma once

#include <string>
#include <vector>

#include "base/dtype.h"
#include "cuda/driver/gpus.h"
#include "cuda/launches/launch.h"
#include "group/group.h"

namespace cavs::cuda {

// How an input of a group stands in memory.
struct GroupOperand {
  int ld = 0;         // elements from row to row
  bool list = false;  // of a list sum: whether its table names rows, or whether they are adjacent
  bool part = false;  // of a list sum: whether its table names parts of rows
};

// What stands before the texts of a program's groups, once.
std::string group_prelude();

struct GroupKernel {
  static constexpr int kThreads = 128;  // of a block

  std::string name;       // of the device function; that of the kernel is kernel_name()
  std::string functions;  // its arguments and device functions
  std::string text;       // these, and the kernel
  int width = 0;
  DType dtype = DType::kFloat32;
  std::vector<GroupInput> reads;  // per input
  std::vector<bool> used;         // per input: whether the group computes with it
  std::vector<GroupOperand> inputs;
  std::vector<int> output_lds;
  int columns = 1;      // of a thread, at most
  size_t pointers = 0;  // members of NAME_arguments

  std::string kernel_name() const { return name + "_kernel"; }
};

// Throws Error(kDevice) for a group with more pointers than a kernel can take.
GroupKernel print_group(const std::string& name, const Group& group, DType dtype,
                        const std::vector<GroupOperand>& inputs,
                        const std::vector<int>& output_lds);

// The members of NAME_arguments for a call, in their order. Throws Error(kDevice) where operands or
// tables are not as printed, and where an output would be written over elements that other threads
// still read: it may stand in the place of an input that is read without a table, if element for
// element, and apart from every other.
std::vector<Address> group_arguments(const GroupKernel& group, const DeviceCall& call);

// Columns that a thread takes at once where the operands of a call stand: see print_rows().
int columns_at(const GroupKernel& group, const DeviceCall& call);

// `kernel` is the function kernel_name() of the compiled text.
void launch_group(const GroupKernel& group, const Kernel& kernel, const Stream& stream,
                  const DeviceCall& call);

}  // namespace cavs::cuda
