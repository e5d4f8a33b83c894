// Chooses by shape how products are computed, and launches them.
#include "cuda/launches/products.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "cuda/kernels/products_call.h"
#include "cuda/launches/products_blas.h"
#include "cuda/launches/row_launches.h"
#include "program/attributes.h"
#include "program/kernels.h"

namespace cavs::cuda {
namespace {

// As the kernels have them (products*.h).
constexpr int kWarps = 8, kTile = 64, kFewLines = 8, kFewColumns = 32;

constexpr int kMostElements = 1 << 30;  // of a launch: they are numbered in 32 bits

// `items` are what a block takes one of at a time.
template <class... Arguments>
void launch_items(Library& library, const Stream& stream, const char* name, int64_t items,
                  const Arguments&... arguments) {
  library.kernel("products", name)
      .launch(stream, {blocks_for(library, items, 1), kThreads, 0}, arguments...);
}

int number_of_rows(const Rows& rows) { return std::max(0, rows.end - rows.begin); }
int as_int(int64_t value) { return static_cast<int>(value); }

// Whether all these addresses are those of whole vectors of 16 bytes.
bool are_whole(DType dtype, const void* data, std::initializer_list<int> steps) {
  const int elements = 16 / as_int(item_size(dtype));
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 &&
         std::all_of(steps.begin(), steps.end(), [&](int step) { return step % elements == 0; });
}

Factor factor_of(DType dtype, const Operand& operand, const Table& table, int64_t line,
                 int64_t term) {
  Factor factor;
  factor.data = operand.data;
  factor.index = table.index;
  factor.ld = operand.ld;
  factor.line = as_int(line);
  factor.term = as_int(term);
  // One step is that from an element to the next.
  const int step = factor.term == 1 ? factor.line : factor.term;
  factor.wide = are_whole(dtype, factor.data, {factor.ld, step}) ? 1 : 0;
  return factor;
}

Product product_in(const DeviceCall& call) {
  const DType dtype = call.program->dtype;
  const MatmulAttributes& s = *product_of(*call.instruction);
  const auto* masked = std::get_if<MaskedMatmulAttributes>(&call.instruction->attributes);
  Product p;
  p.x = factor_of(dtype, call.in[0], call.tables[0], s.ta ? 1 : s.k, s.ta ? s.m : 1);
  p.w = factor_of(dtype, call.in[1], call.tables[1], s.tb ? s.k : 1, s.tb ? 1 : s.n);
  if (masked != nullptr) {
    p.mask = call.in[2].data;
    p.mask_ld = call.in[2].ld;
    p.mask_kind = masked->by_id ? kMaskOfIds : kMaskOfNumbers;
  }
  p.lines = as_int(s.m);
  p.columns = as_int(s.n);
  p.terms = as_int(s.k);
  p.y = call.out[0].data;
  p.ld = call.out[0].ld;
  p.line = as_int(s.n);
  p.column = 1;
  p.wide = are_whole(dtype, p.y, {p.ld, p.line}) ? 1 : 0;
  return p;
}

// The same product as one of the transposed factors.
Product transposed(Product p) {
  std::swap(p.x, p.w);
  std::swap(p.lines, p.columns);
  std::swap(p.line, p.column);
  p.wide = 0;
  return p;
}

// Rows with a weight. Which kernel is a matter of time alone: all give the same bits.
void launch_with_weight(Library& library, const Stream& stream, const Product& p, Rows rows) {
  constexpr int kFewTerms = 8;      // for which the result's memory is what takes time
  constexpr int kTileColumns = 33;  // from which a tile's 64 columns are worth it
  const int64_t lines = int64_t{number_of_rows(rows)} * p.lines;
  const int64_t tiles = tiles_of(lines, p.columns);
  if (p.terms <= kFewTerms) {
    launch_items(library, stream, "product_each", divided(lines * p.columns, kThreads), p, rows);
  } else if (p.columns >= kTileColumns && tiles >= library.open().gpu.processors()) {
    launch_items(library, stream, "product_with_weight", tiles, p, rows);
  } else {
    launch_items(library, stream, "product_of_few_lines",
                 divided(lines, kFewLines) * divided(p.columns, kFewColumns), p, rows);
  }
}

// Two matrices for each row.
void launch_of_matrices(Library& library, const Stream& stream, const Product& p, Rows rows) {
  const WayOfMatrices way = way_of_matrices(p);
  const char* const name = way == WayOfMatrices::kTiles  ? "product_of_matrices"
                           : way == WayOfMatrices::kDots ? "product_dots"
                                                         : "product_each";
  launch_items(library, stream, name, items_of_matrices(p, number_of_rows(rows)), p, rows);
}

void launch_matmul(Library& library, const Stream& stream, const DeviceCall& call) {
  if (call.rows.begin >= call.rows.end) return;
  const Product given = product_in(call), p = product_of_rows(call);
  if (multiply_lines_by_blas(library, stream, p, call.rows)) {
    if (p.mask_kind != kNoMask) {
      const int64_t lines = int64_t{number_of_rows(call.rows)} * p.lines;
      launch_items(library, stream, "clear_rows_left_out", divided(lines, kWarps), p, call.rows);
    }
    return;
  }
  if (multiply_rows_by_blas(library, stream, given, call.rows)) return;
  const bool with_weight = p.w.ld == 0;
  const int64_t each = int64_t{p.lines} * p.columns;
  const int most = as_int(std::max<int64_t>(1, kMostElements / each));
  for (Rows part = call.rows; part.begin < call.rows.end; part.begin = part.end) {
    part.end = part.begin + std::min(most, call.rows.end - part.begin);
    with_weight ? launch_with_weight(library, stream, p, part)
                : launch_of_matrices(library, stream, p, part);
  }
}

// The parts of a sum whose result takes `blocks` blocks: enough parts to keep a GPU busy, each of
// so many terms that it is worth the sum over parts.
SumParts parts_of(int rows, int64_t terms_of_row, int64_t blocks, bool goes_on) {
  constexpr int64_t kEnoughBlocks = 528, kFewestTerms = 128;
  const int64_t most = std::max<int64_t>(1, kEnoughBlocks / std::max<int64_t>(1, blocks));
  const int64_t worth = std::max<int64_t>(1, rows * terms_of_row / kFewestTerms);
  const int64_t wanted = std::min({most, worth, std::max<int64_t>(1, rows)});
  SumParts parts;
  parts.rows = as_int(divided(rows, wanted));
  parts.count = parts.rows == 0 ? 1 : as_int(divided(rows, parts.rows));
  parts.goes_on = goes_on && parts.count == 1 ? 1 : 0;
  return parts;
}

int64_t result_size(const Program& program, const Instruction& instruction) {
  return program.values[static_cast<size_t>(instruction.outputs[0])].size;
}

SumParts product_parts(const Instruction& instruction, int rows, bool goes_on) {
  const MatmulAttributes& s = *product_of(instruction);
  return parts_of(rows, s.k, tiles_of(s.m, s.n), goes_on);
}
SumParts row_parts(int64_t size, int rows, bool goes_on) {
  return parts_of(rows, 1, divided(size, 32), goes_on);
}

size_t scratch_of(const Program& program, const Instruction& instruction, const SumParts& parts) {
  if (parts.count == 1) return 0;
  return static_cast<size_t>(parts.count) * static_cast<size_t>(result_size(program, instruction)) *
         static_cast<size_t>(item_size(program.dtype));
}

size_t scratch_of_products(const Program& program, const Instruction& instruction, int rows) {
  return scratch_of(program, instruction, product_parts(instruction, rows, false));
}
size_t scratch_of_rows(const Program& program, const Instruction& instruction, int rows) {
  return scratch_of(program, instruction,
                    row_parts(result_size(program, instruction), rows, false));
}

// For a sum over no rows.
void put_zeros(const Stream& stream, const DeviceCall& call) {
  const int64_t bytes =
      result_size(*call.program, *call.instruction) * item_size(call.program->dtype);
  if (!goes_on(*call.instruction)) {
    stream.clear(reinterpret_cast<Address>(call.out[0].data), static_cast<size_t>(bytes));
  }
}

// Sums the parts that stand in scratch into the output.
void launch_part_sum(Library& library, const Stream& stream, const DeviceCall& call,
                     const SumParts& parts) {
  const int size = as_int(result_size(*call.program, *call.instruction));
  launch_items(library, stream, "part_sum", divided(size, kThreads), call.scratch, parts.count,
               size, goes_on(*call.instruction) ? 1 : 0, call.out[0].data);
}

void launch_matmul_reduce(Library& library, const Stream& stream, const DeviceCall& call) {
  const int rows = number_of_rows(call.rows);
  if (rows == 0) return put_zeros(stream, call);
  const Product p = product_in(call);
  if (sum_by_blas(library, stream, p, call.rows, goes_on(*call.instruction))) return;
  const SumParts parts = product_parts(*call.instruction, rows, goes_on(*call.instruction));
  void* const result = parts.count == 1 ? call.out[0].data : reinterpret_cast<void*>(call.scratch);
  launch_items(library, stream, "product_sum", tiles_of(p.lines, p.columns) * parts.count, p,
               call.rows, parts, result);
  if (parts.count > 1) launch_part_sum(library, stream, call, parts);
}

void launch_reduce_rows(Library& library, const Stream& stream, const DeviceCall& call) {
  const int rows = number_of_rows(call.rows);
  if (rows == 0) return put_zeros(stream, call);
  const SumParts parts =
      row_parts(result_size(*call.program, *call.instruction), rows, goes_on(*call.instruction));
  void* const result = parts.count == 1 ? call.out[0].data : reinterpret_cast<void*>(call.scratch);
  launch_items(library, stream, "row_sum", divided(call.in[0].size, 32) * parts.count, call.in[0],
               call.rows, parts, result);
  if (parts.count > 1) launch_part_sum(library, stream, call, parts);
}

void launch_max_rows(Library& library, const Stream& stream, const DeviceCall& call) {
  if (number_of_rows(call.rows) == 0) return put_zeros(stream, call);
  launch_items(library, stream, "row_maximum", divided(call.in[0].size, 32), call.in[0], call.rows,
               goes_on(*call.instruction) ? 1 : 0, call.out[0].data);
}

}  // namespace

Product product_of_rows(const DeviceCall& call) {
  const Product given = product_in(call);
  return given.x.ld == 0 && given.w.ld != 0 ? transposed(given) : given;
}

WayOfMatrices way_of_matrices(const Product& p) {
  constexpr int kSmallSide = 16, kSmallMatrix = 1024, kLongDot = 32;
  if (std::min({p.lines, p.columns, p.terms}) >= kSmallSide &&
      int64_t{p.lines} * p.columns >= kSmallMatrix) {
    return WayOfMatrices::kTiles;
  }
  const bool along = p.x.term == 1 && p.w.term == 1 && p.terms >= kLongDot;
  return along ? WayOfMatrices::kDots : WayOfMatrices::kElements;
}

int64_t items_of_matrices(const Product& p, int64_t rows) {
  const int64_t elements = rows * p.lines * p.columns;
  switch (way_of_matrices(p)) {
    case WayOfMatrices::kTiles:
      return rows * tiles_of(p.lines, p.columns);
    case WayOfMatrices::kDots:
      return divided(elements, kWarps);
    case WayOfMatrices::kElements:
      break;
  }
  return divided(elements, kThreads);
}

int64_t tiles_of(int64_t lines, int64_t columns) {
  return divided(lines, kTile) * divided(columns, kTile);
}

Product product_of_sum(const DeviceCall& call) { return product_in(call); }

bool goes_on(const Instruction& instruction) {
  return instruction.inputs.size() > instruction.kernel->inputs.least;
}

bool is_one_sum(const Program& program, const Instruction& instruction, int rows) {
  const MatmulAttributes* const product = product_of(instruction);
  const SumParts parts = product != nullptr
                             ? product_parts(instruction, rows, false)
                             : row_parts(result_size(program, instruction), rows, false);
  return parts.count == 1 && (product == nullptr || rows * product->k < blas_limits().terms_of_sum);
}

const std::vector<DeviceKernel>& product_kernels() {
  static const auto* const kernels = new std::vector<DeviceKernel>{
      {"matmul", launch_matmul},
      {"matmul_masked", launch_matmul},
      {"matmul_reduce", launch_matmul_reduce, scratch_of_products},
      {"matmul_reduce_masked", launch_matmul_reduce, scratch_of_products},
      {"max_rows", launch_max_rows},
      {"reduce_rows", launch_reduce_rows, scratch_of_rows},
  };
  return *kernels;
}

}  // namespace cavs::cuda
