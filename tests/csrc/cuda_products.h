// A product or a sum over rows on a GPU, with all that it reads, for C++ tests: it is compared with
// plain loops in double and, where that needs no BLAS library, with the CPU's kernel.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/kernel.h"
#include "cuda/code/library.h"
#include "cuda/launches/products.h"
#include "program/kernels.h"

namespace cavs_test {

using namespace cavs;
using namespace cavs::cuda;

// A kernel over rows [begin, end). A factor has rows of its own, rows that a table names, or is
// the same for all rows.
enum class Reads { kOwn, kTable, kShared };

struct Case {
  std::string kernel = "matmul";
  int m = 1, k = 1, n = 1;
  bool ta = false, tb = false;
  Reads a = Reads::kOwn, b = Reads::kShared;
  int mask = 0;  // 1: by id, 2: by number
  int begin = 0, end = 1;
  int padding = 0;  // elements between rows
  int shift = 0;    // elements before the first row
  bool goes_on = false;

  bool sums() const { return kernel.find("reduce") != std::string::npos; }
  bool rows_alone() const { return kernel == "reduce_rows"; }
  // Whether the CPU's kernel needs no BLAS library, which is not there in this program.
  bool runs_on_cpu() const {
    if (sums()) return rows_alone();
    return b == Reads::kShared ? a != Reads::kShared && (!ta || m == 1)
                               : a == Reads::kShared && n == 1;
  }
  std::string text() const {
    const auto word = [](Reads r) {
      return r == Reads::kOwn ? "own" : r == Reads::kTable ? "table" : "shared";
    };
    std::string text = kernel;
    for (const int v : {m, k, n, int{ta}, int{tb}}) text += " " + std::to_string(v);
    text += std::string(" ") + word(a) + " " + word(b);
    for (const int v : {mask, begin, end, padding, shift, int{goes_on}})
      text += " " + std::to_string(v);
    return text;
  }
};

// Rows of floats on the host with garbage around them.
template <class T>
struct Rowed {
  int rows = 0, size = 0, ld = 0, shift = 0;
  std::vector<T> data;

  Rowed(int given_rows, int given_size, int padding, int given_shift, bool shared)
      : rows(given_rows),
        size(given_size),
        ld(shared ? 0 : given_size + padding),
        shift(given_shift) {
    data.assign(static_cast<size_t>(shift) + static_cast<size_t>(shared ? size : rows * ld),
                std::numeric_limits<T>::quiet_NaN());
  }
  T* row(int r) { return data.data() + shift + static_cast<int64_t>(r) * ld; }
};

template <class T>
struct Device {
  DeviceBlock block;
  template <class V>
  Device(const Stream& stream, const std::vector<V>& values)
      : block(stream, std::max<size_t>(16, values.size() * sizeof(V))) {
    stream.copy_to_device(block.address(), values.data(), values.size() * sizeof(V));
  }
};

template <class T>
constexpr DType kDType = sizeof(T) == 4 ? DType::kFloat32 : DType::kFloat64;

template <class T>
class Problem {
 public:
  Problem(const Case& given, unsigned seed)
      : c(given),
        random(seed),
        a(c.end + 3, c.rows_alone() ? c.n : c.m * c.k, c.padding, c.shift, c.a == Reads::kShared),
        b(c.end + 3, c.k * c.n, c.padding, c.shift, c.b == Reads::kShared),
        y(c.end + 3, c.rows_alone() ? c.n : c.m * c.n, c.padding, c.shift, c.sums()),
        numbers(c.end + 3, 1, c.padding, 0, false) {
    ids.assign(numbers.data.size(), -7);
    index_a = make_index(c.a);
    index_b = make_index(c.b);
    for (int r = c.begin; r < c.end; ++r) {
      const bool chosen = random() % 3 != 0;
      ids[static_cast<size_t>(r * numbers.ld)] = chosen ? static_cast<int>(random() % 9) : -1;
      *numbers.row(r) = chosen ? T(0.5) : T(0);
    }
    for (int r = c.begin; r < c.end; ++r) {
      if (!takes(r)) continue;
      fill(a, source(index_a, c.a, r));
      if (!c.rows_alone()) fill(b, source(index_b, c.b, r));
    }
    if (c.sums() && c.goes_on) fill(y, 0);
    make_program();
  }

  bool takes(int r) {
    if (c.mask == 1 && ids[static_cast<size_t>(r * numbers.ld)] < 0) return false;
    if (c.mask == 2 && *numbers.row(r) == 0) return false;
    return source(index_a, c.a, r) >= 0 && source(index_b, c.b, r) >= 0;
  }

  // What stands in the output's memory after rows [begin, end).
  std::vector<T> run(int begin, int end) {
    OpenGpu& open = open_gpu(0);
    Library& library = library_of(open, kDType<T>, false);
    const Stream& stream = open.stream;
    const Device<T> on_a(stream, a.data), on_b(stream, b.data), on_y(stream, y.data),
        on_numbers(stream, numbers.data), on_ids(stream, ids), on_index_a(stream, index_a),
        on_index_b(stream, index_b);
    const auto operand = [](const Device<T>& on, const Rowed<T>& rows) {
      return cuda::Operand{on.block.template as<T>() + rows.shift, rows.ld, rows.size};
    };
    std::vector<cuda::Operand> in = {operand(on_a, a)};
    if (!c.rows_alone()) in.push_back(operand(on_b, b));
    if (c.mask != 0) in.push_back(operand(c.mask == 1 ? on_ids : on_numbers, numbers));
    const cuda::Operand out = operand(on_y, y);
    if (c.goes_on) in.push_back(out);
    std::vector<Table> tables(in.size());
    if (c.a == Reads::kTable) tables[0].index = on_index_a.block.template as<int>();
    if (c.b == Reads::kTable) tables[1].index = on_index_b.block.template as<int>();
    DeviceCall call;
    call.program = &program;
    call.instruction = &program.segments[0].instructions[0];
    call.in = in.data();
    call.out = &out;
    call.tables = tables.data();
    call.rows = {begin, end};
    for (const DeviceKernel& kernel : product_kernels()) {
      if (c.kernel != kernel.name) continue;
      size_t bytes = 0;
      if (kernel.scratch_bytes != nullptr) {
        bytes = kernel.scratch_bytes(program, *call.instruction, end - begin);
      }
      const DeviceBlock scratch(stream, std::max<size_t>(bytes, 1));
      if (bytes > 0) call.scratch = scratch.address();
      kernel.launch(library, stream, call);
    }
    std::vector<T> result(y.data.size());
    stream.copy_to_host(result.data(), on_y.block.address(), result.size() * sizeof(T));
    stream.synchronize();
    return result;
  }

  std::vector<T> run_on_cpu(int begin, int end) {
    std::vector<T> result = y.data;
    const auto operand = [](T* data, const Rowed<T>& rows) {
      return cavs::Operand{data + rows.shift, rows.ld, rows.size, false, nullptr};
    };
    std::vector<cavs::Operand> in = {operand(a.data.data(), a)};
    if (!c.rows_alone()) in.push_back(operand(b.data.data(), b));
    if (c.mask == 1) in.push_back({ids.data(), numbers.ld, 1, false, nullptr});
    if (c.mask == 2) in.push_back(operand(numbers.data.data(), numbers));
    const cavs::Operand out = operand(result.data(), y);
    if (c.goes_on) in.push_back(out);
    std::vector<IndexTable> tables(in.size());
    if (c.a == Reads::kTable) tables[0].index = index_a.data();
    if (c.b == Reads::kTable) tables[1].index = index_b.data();
    struct alignas(64) Scratch {
      char bytes[kScratchBytes];
    };
    const auto scratch = std::make_unique<Scratch>();
    KernelCall call;
    call.in = in.data();
    call.num_in = static_cast<int>(in.size());
    call.out = &out;
    call.num_out = 1;
    if (c.mask != 0) {
      call.attributes = &std::get<MaskedMatmulAttributes>(instruction().attributes);
    } else if (!c.rows_alone()) {
      call.attributes = &std::get<MatmulAttributes>(instruction().attributes);
    }
    call.row_begin = begin;
    call.row_end = end;
    call.tables = tables.data();
    call.scratch = scratch.get();
    find_kernel(kDType<T>, c.kernel)(call);
    return result;
  }

  // Compares with sums in double; what no row of the output holds must be as it was.
  void check(const std::vector<T>& got, int begin, int end) {
    std::vector<T> left = got;
    const auto expect = [&](int64_t at, double sum, double size, double terms) {
      const double bound = (terms + 8) * std::numeric_limits<T>::epsilon() * size;
      if (!(std::abs(static_cast<double>(got[static_cast<size_t>(at)]) - sum) <= bound)) {
        if (++wrong < 3) {
          cavs_test::report(__FILE__, __LINE__,
                            c.text() + " element " + std::to_string(at) + ": " +
                                std::to_string(got[static_cast<size_t>(at)]) + ", expected " +
                                std::to_string(sum));
        }
      }
      left[static_cast<size_t>(at)] = y.data[static_cast<size_t>(at)];
    };
    for (int r = begin; r < (c.sums() ? begin + 1 : end); ++r) {
      for (int i = 0; i < (c.rows_alone() ? 1 : c.m); ++i) {
        for (int j = 0; j < c.n; ++j) {
          double sum = 0, size = 0;
          const int64_t at = y.row(c.sums() ? 0 : r) - y.data.data() + i * c.n + j;
          if (c.goes_on) size = std::abs(sum = y.data[static_cast<size_t>(at)]);
          for (int s = r; s < (c.sums() ? end : r + 1); ++s) add(s, i, j, &sum, &size);
          expect(at, sum, size, c.sums() ? double(c.k) * (end - begin) : c.k);
        }
      }
    }
    if (std::memcmp(left.data(), y.data.data(), left.size() * sizeof(T)) != 0) {
      cavs_test::report(__FILE__, __LINE__, c.text() + ": writes outside of its rows");
    }
  }

  // Rows that are left out give zeros, whatever the other factor holds.
  void check_left_out() {
    std::fill(b.data.begin(), b.data.end(), std::numeric_limits<T>::quiet_NaN());
    std::vector<T> got = run(c.begin, c.end);
    bool zeros = true, any = false;
    for (int r = c.begin; r < c.end; ++r) {
      if (takes(r)) continue;
      any = true;
      for (int i = 0; i < y.size; ++i) {
        zeros = zeros && got[static_cast<size_t>(y.row(r) - y.data.data() + i)] == 0;
      }
    }
    CHECK(any);
    if (!zeros) cavs_test::report(__FILE__, __LINE__, c.text() + ": left out, and not zeros");
  }

  const Case c;
  int wrong = 0;
  Program program;

 private:
  void add(int r, int i, int j, double* sum, double* size) {
    if (!takes(r)) return;
    const T* x = a.row(source(index_a, c.a, r));
    if (c.rows_alone()) {
      *sum += x[j], *size += std::abs(x[j]);
      return;
    }
    const T* w = b.row(source(index_b, c.b, r));
    for (int t = 0; t < c.k; ++t) {
      const double term = static_cast<double>(x[c.ta ? t * c.m + i : i * c.k + t]) *
                          static_cast<double>(w[c.tb ? j * c.k + t : t * c.n + j]);
      *sum += term, *size += std::abs(term);
    }
  }

  std::vector<int> make_index(Reads reads) {
    std::vector<int> index(static_cast<size_t>(c.end + 1), -9);
    if (reads != Reads::kTable) return index;
    for (int r = c.begin; r < c.end; ++r) {
      index[static_cast<size_t>(r)] =
          random() % 5 == 0 ? -1 : static_cast<int>(random() % unsigned(c.end + 3));
    }
    return index;
  }
  static int source(const std::vector<int>& index, Reads reads, int r) {
    return reads == Reads::kShared ? 0 : reads == Reads::kOwn ? r : index[static_cast<size_t>(r)];
  }
  void fill(Rowed<T>& rows, int r) {
    T* row = rows.row(r);
    if (rows.size == 0 || row[0] == row[0]) return;
    for (int i = 0; i < rows.size; ++i) {
      row[i] = static_cast<T>(static_cast<double>(random() % 2001) / 1000 - 1);
    }
  }
  const Instruction& instruction() const { return program.segments[0].instructions[0]; }

  int add_value(int size, bool rows, DType dtype) {
    ValueSpec value;
    value.space.kind = rows ? SpaceKind::kVertex : SpaceKind::kNone;
    value.size = size;
    value.dtype = dtype;
    program.values.push_back(value);
    return static_cast<int>(program.values.size()) - 1;
  }
  void make_program() {
    program.dtype = kDType<T>;
    Instruction made;
    made.kernel = kernel_named(c.kernel);
    made.inputs.push_back(add_value(a.size, c.a != Reads::kShared, program.dtype));
    if (!c.rows_alone())
      made.inputs.push_back(add_value(b.size, c.b != Reads::kShared, program.dtype));
    if (c.mask != 0) {
      made.inputs.push_back(add_value(1, true, c.mask == 1 ? DType::kInt32 : program.dtype));
    }
    made.outputs = {add_value(y.size, !c.sums(), program.dtype)};
    if (c.goes_on) made.inputs.push_back(made.outputs[0]);
    made.tables.resize(made.inputs.size());
    made.space.kind = SpaceKind::kVertex;
    MaskedMatmulAttributes product;
    product.ta = c.ta, product.tb = c.tb;
    product.m = c.m, product.k = c.k, product.n = c.n;
    product.by_id = c.mask == 1;
    if (c.mask != 0) {
      made.attributes = product;
    } else if (!c.rows_alone()) {
      made.attributes = static_cast<MatmulAttributes>(product);
    }
    Segment segment;
    segment.instructions.push_back(made);
    program.segments.push_back(segment);
  }

  std::mt19937 random;
  Rowed<T> a, b, y, numbers;
  std::vector<int> ids, index_a, index_b;
};

}  // namespace cavs_test
