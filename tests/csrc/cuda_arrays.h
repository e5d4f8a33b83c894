// Arrays of the device for C++ tests.
#pragma once

#include <vector>

#include "cuda/driver/gpus.h"

namespace cavs_test {

// A vector's copy on the device, its first element `offset` elements after an aligned address.
template <class T>
class DeviceArray {
 public:
  DeviceArray(const cavs::cuda::Stream& stream, const std::vector<T>& values, size_t offset = 0)
      : stream_(stream),
        count_(values.size()),
        offset_(offset),
        block_(stream, (offset + values.size() + 1) * sizeof(T)) {
    stream.copy_to_device(address(), values.data(), count_ * sizeof(T));
    stream.synchronize();
  }

  cavs::cuda::Address address() const { return block_.address() + offset_ * sizeof(T); }
  T* data() const { return reinterpret_cast<T*>(address()); }
  std::vector<T> read() const {
    std::vector<T> values(count_);
    stream_.copy_to_host(values.data(), address(), count_ * sizeof(T));
    stream_.synchronize();
    return values;
  }

 private:
  const cavs::cuda::Stream& stream_;
  size_t count_, offset_;
  cavs::cuda::DeviceBlock block_;
};

}  // namespace cavs_test
