// The kernels that programs share: made once for a GPU, dtype and state of denormals.
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "cuda/code/library.h"
#include "cuda_arrays.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

void test_one_for_each_kind() {
  OpenGpu& open = open_gpu(0);
  Library& library = library_of(open, DType::kFloat32, true);
  CHECK(&library == &library_of(open, DType::kFloat32, true));
  CHECK(&library != &library_of(open, DType::kFloat32, false));
  CHECK(&library != &library_of(open, DType::kFloat64, false));
  // Denormals of float64 are kept, whatever the setting.
  CHECK(&library_of(open, DType::kFloat64, true) == &library_of(open, DType::kFloat64, false));
  CHECK(&library.open() == &open && library.dtype() == DType::kFloat32);
}

void test_options() {
  using Options = std::vector<std::string>;
  CHECK(options_of(DType::kFloat32, false) == Options{"-DCAVS_REAL=float"});
  CHECK((options_of(DType::kFloat32, true) == Options{"-DCAVS_REAL=float", "--ftz=true"}));
  CHECK(options_of(DType::kFloat64, true) == Options{"-DCAVS_REAL=double"});
}

// Threads that ask at once get the same kernel, and a unit is compiled or read once.
void test_threads() {
  OpenGpu& open = open_gpu(0);
  Library library(open, DType::kFloat32, false);
  const int before = open.cache.hits() + open.cache.misses();
  std::vector<const Kernel*> found(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < found.size(); ++i) {
    threads.emplace_back([&, i] {
      open.gpu.make_current();
      found[i] = &library.kernel("moves", i % 2 == 0 ? "move_4" : "move_16");
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 2; i < found.size(); ++i) CHECK(found[i] == found[i - 2]);
  CHECK(found[0] != found[1] && found[0]->name() == "move_4" && found[1]->name() == "move_16");
  CHECK(open.cache.hits() + open.cache.misses() == before + 1);
}

void test_names() {
  Library& library = library_of(open_gpu(0), DType::kFloat64, false);
  CHECK_THROWS(library.kernel("nothing", "move_4"), Error, "nothing.cu");
  CHECK_THROWS(library.kernel("moves", "nothing"), Error, "a kernel 'nothing'");
  CHECK(library.kernel("moves", "move_4").name() == "move_4");  // all is well after that
}

// A handle for each stream, in whose order its products run.
void test_blas() {
  OpenGpu& open = open_gpu(0);
  Library& library = library_of(open, DType::kFloat32, true);
  const Stream other;
  const BlasHandle handle = library.blas(open.stream);
  CHECK(handle == library.blas(open.stream) && handle != library.blas(other));
  const cavs_test::DeviceArray<float> a(open.stream, {1, 2, 3, 4}), b(open.stream, {5, 6, 7, 8}),
      c(open.stream, {0, 0, 0, 0});
  const float one = 1, zero = 0;
  const Result code =
      blas().cublasSgemm(handle, 0, 0, 2, 2, 2, &one, b.data(), 2, a.data(), 2, &zero, c.data(), 2);
  CHECK(code == 0);
  CHECK((c.read() == std::vector<float>{19, 22, 43, 50}));
}

}  // namespace

int main() {
  test_one_for_each_kind();
  test_options();
  test_threads();
  test_names();
  test_blas();
  return cavs_test::result();
}
