// What a batch that comes again keeps on a GPU: filled once, also after a failure, and before
// another stream reads it.
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.h"
#include "cuda/driver/allocator.h"
#include "cuda/sweep/batch_copies.h"

using namespace cavs;
using namespace cavs::cuda;

namespace {

constexpr int64_t kBytes = 1024;

class Batch {
 public:
  Batch() : open_(open_gpu(0)), allocator_(open_) {}

  std::shared_ptr<Block> find(const Stream& stream, const BatchCopies::Fill& fill) {
    open_gpu(0);
    const int64_t key = 7;
    return copies_.find(1, {}, &key, 1, {}, allocator_, kBytes, stream, fill);
  }
  // Sets all bytes, when the device comes to it.
  BatchCopies::Fill filling(const Stream& stream, unsigned char value) {
    return [this, &stream, value](const Block& block) {
      ++fills;
      check(driver().cuMemsetD8Async(reinterpret_cast<Address>(block.data()), value, kBytes,
                                     stream.handle()),
            "a fill");
    };
  }
  unsigned char last_byte(const Block& block, const Stream& stream) {
    unsigned char byte = 0;
    stream.copy_to_host(&byte, reinterpret_cast<Address>(block.data()) + kBytes - 1, 1);
    stream.synchronize();
    return byte;
  }
  const Stream& stream() const { return open_.stream; }

  int fills = 0;

 private:
  OpenGpu& open_;
  GpuAllocator allocator_;
  BatchCopies copies_;
};

void test_a_failure() {
  Batch batch;
  const Stream& stream = batch.stream();
  CHECK(batch.find(stream, batch.filling(stream, 1)) == nullptr);  // it comes for the first time
  const auto broken = [](const Block&) { throw std::runtime_error("no memory"); };
  CHECK_THROWS(batch.find(stream, broken), std::runtime_error, "no memory");
  const auto block = batch.find(stream, batch.filling(stream, 2));
  CHECK(block != nullptr && batch.fills == 1);
  CHECK(batch.last_byte(*block, stream) == 2);
  CHECK(batch.find(stream, broken) == block);
}

void test_another_stream() {
  Batch batch;
  const Stream other;
  batch.find(batch.stream(), batch.filling(batch.stream(), 1));
  batch.find(batch.stream(), batch.filling(batch.stream(), 3));
  // The emulator runs a stream's work when something waits for it.
  const auto block = batch.find(other, batch.filling(other, 4));
  CHECK(batch.fills == 1 && batch.last_byte(*block, other) == 3);
}

void test_threads() {
  for (int round = 0; round < 20; ++round) {
    Batch batch;
    batch.find(batch.stream(), batch.filling(batch.stream(), 1));
    std::vector<unsigned char> found(4);
    std::vector<std::thread> threads;
    for (unsigned char& byte : found) {
      threads.emplace_back([&batch, &byte] {
        const auto block = batch.find(batch.stream(), batch.filling(batch.stream(), 5));
        byte = batch.last_byte(*block, batch.stream());
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(batch.fills == 1 && found == std::vector<unsigned char>(4, 5));
  }
}

}  // namespace

int main() {
  if (!is_emulated()) return 0;
  test_a_failure();
  test_another_stream();
  test_threads();
  return cavs_test::result();
}
