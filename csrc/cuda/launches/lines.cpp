// Launches of the kernels along lines of a row whose elements need not stand together.
#include "cuda/launches/row_launches.h"

namespace cavs::cuda {
namespace {

Lines lines_of(const DeviceCall& call, const AxisAttributes& axis) {
  Lines lines;
  for (size_t i = 0; i < call.instruction->inputs.size(); ++i) lines.in[i] = call.in[i];
  lines.out = call.out[0];
  lines.rows = call.rows;
  lines.outer = static_cast<int>(axis.outer);
  lines.length = static_cast<int>(axis.length);
  lines.inner = static_cast<int>(axis.inner);
  return lines;
}

// `items`: of a row, each of which 2^shift threads take.
void launch_lines(Library& library, const Stream& stream, const char* unit,
                  const std::string& kernel, const Lines& lines, int items) {
  const long long rows = static_cast<long long>(lines.rows.end) - lines.rows.begin;
  launch(library, stream, unit, kernel.c_str(),
         blocks_for(library, rows * items, kThreads >> lines.shift), lines);
}

void cumsum(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<ScanAttributes>(call);
  Lines lines = lines_of(call, it);
  lines.flag = it.reverse ? 1 : 0;
  launch_lines(library, stream, "lines", "cumsum", lines, lines.outer * lines.inner);
}

void argsort(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<OrderAttributes>(call);
  Lines lines = lines_of(call, it);
  lines.flag = it.descending ? 1 : 0;
  lines.count = static_cast<int>(it.count);
  lines.shift = crew_shift(library.dtype(), lines.length);
  launch_lines(library, stream, "lines", "argsort", lines, lines.outer * lines.inner);
}

template <bool kPuts>
void move_elements(Library& library, const Stream& stream, const DeviceCall& call) {
  const auto& it = attributes_of<PickAttributes>(call);
  Lines lines = lines_of(call, it);
  lines.flag = it.along ? 1 : 0;
  lines.count = static_cast<int>(it.count);
  launch_lines(library, stream, "lines", kPuts ? "put_elements" : "pick_elements", lines,
               kPuts ? lines.outer * lines.inner : lines.out.size);
}

}  // namespace

void launch_columns(Library& library, const Stream& stream, const DeviceCall& call) {
  const Lines lines = lines_of(call, attributes_of<AxisAttributes>(call));
  launch_lines(library, stream, "columns", std::string(call.instruction->kernel->name) + "_columns",
               lines, lines.outer * lines.inner);
}

const std::vector<DeviceKernel>& line_kernels() {
  static const auto* const table =
      new std::vector<DeviceKernel>{{"argsort", argsort},
                                    {"cumsum", cumsum},
                                    {"pick_elements", move_elements<false>},
                                    {"put_elements", move_elements<true>}};
  return *table;
}

}  // namespace cavs::cuda
