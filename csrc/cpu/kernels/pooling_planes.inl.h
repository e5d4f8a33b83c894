// Images in planes, for the kernels that pool them.
#pragma once

#include "cpu/kernels/rows.inl.h"

namespace cavs {
namespace {

// How many vectors of windows are computed side by side.
constexpr int kPoolVectors = 4;

// By how many elements the sum of a window is divided, which begins in this line and column.
CAVS_INLINE int64_t elements_of(const PoolAttributes& it, int64_t top, int64_t left) {
  if (it.padded) return it.size_y * it.size_x;
  const auto within = [](int64_t start, int64_t size, int64_t length) {
    return least(start + size, length) - greatest(start, 0);
  };
  return within(top, it.size_y, it.height) * within(left, it.size_x, it.width);
}

template <class T>
CAVS_INLINE void zero_images(const KernelCall& call) {
  for (int64_t r = call.row_begin; r < call.row_end; ++r) {
    fill_row(row_of<T>(call.out[0], r), T(0), call.out[0].size);
  }
}

// A block of windows, `images` images of `lines` lines of `columns`, and what its kernel keeps.
//
// An image takes `pitch_y` lines of `pitch` elements in each plane, and as many among the numbers
// of windows, which the block's windows do not fill: the gaps. The element of tap t of window f is
// element offsets[t] + f of the planes.
template <class T>
class PoolPlanes {
 public:
  static constexpr int64_t kMostTaps = 256;

  // Whether windows go into planes. Others are large, or wide and far apart, so that a plane would
  // have few of the elements of a line.
  static bool fits(const PoolAttributes& it) {
    const bool small = it.size_y <= kMostTaps && it.size_x <= kMostTaps;
    return small && it.size_y * it.size_x <= kMostTaps && least(it.size_x, it.stride_x) < 4;
  }

  // The kernel keeps `images` kinds of images, and so many numbers of each window.
  PoolPlanes(const KernelCall& call, const PoolAttributes& it, int images, int numbers)
      : taps(it.size_y * it.size_x),
        call_(call),
        it_(it),
        planes_y_(least(it.size_y, it.stride_y)),
        planes_x_(least(it.size_x, it.stride_x)),
        kinds_(images),
        numbers_(numbers) {
    choose();
    scratch_ = static_cast<T*>(call.scratch);
    for (int64_t i = 0; i < it.size_y; ++i) {
      for (int64_t j = 0; j < it.size_x; ++j) {
        const int64_t plane = i % it.stride_y * planes_x_ + j % it.stride_x;
        offsets[i * it.size_x + j] = plane * plane_ + i / it.stride_y * pitch_ + j / it.stride_x;
      }
    }
  }

  int64_t taps, offsets[kMostTaps];
  int64_t windows = 0;  // of the block, with the gaps

  // Calls body(row) for each block of each row.
  template <class Body>
  CAVS_INLINE void for_each_block(Body body) {
    for (int64_t r = call_.row_begin; r < call_.row_end; ++r) {
      for (image_ = 0; image_ < it_.outer; image_ += most_images_) {
        images_ = least(most_images_, it_.outer - image_);
        for (line_ = 0; line_ < it_.windows_y; line_ += most_lines_) {
          lines_ = least(most_lines_, it_.windows_y - line_);
          for (column_ = 0; column_ < it_.windows_x; column_ += most_columns_) {
            columns_ = least(most_columns_, it_.windows_x - column_);
            windows = ((images_ - 1) * pitch_y_ + lines_ - 1) * pitch_ + columns_;
            body(r);
          }
        }
      }
    }
  }

  // Numbers of the windows.
  T* windows_of(int which) const { return scratch_ + kinds_ * image_size() + which * plane_; }

  T* load_windows(const Operand& operand, int64_t r, int which) const {
    T* to = windows_of(which);
    for_each_line([&](int64_t from, int64_t at) {
      copy_row(to + at, row_of<T>(operand, r) + from, columns_);
    });
    return to;
  }

  void store_windows(const T* from, const Operand& operand, int64_t r) const {
    for_each_line(
        [&](int64_t to, int64_t at) { copy_row(row_of<T>(operand, r) + to, from + at, columns_); });
  }

  // By what the sums of the windows are divided; of the gaps, too, a number.
  const T* count_elements(int which) const {
    T* to = windows_of(which);
    fill_row(to, static_cast<T>(it_.size_y * it_.size_x), plane_);
    if (it_.padded) return to;
    for (int64_t g = 0; g < images_; ++g) {
      for (int64_t v = 0; v < lines_; ++v) {
        for (int64_t w = 0; w < columns_; ++w) {
          to[(g * pitch_y_ + v) * pitch_ + w] = static_cast<T>(elements_of(
              it_, (line_ + v) * it_.stride_y - it_.top, (column_ + w) * it_.stride_x - it_.left));
        }
      }
    }
    return to;
  }

  // Writes zeros to the gaps, and to what follows the last window.
  void forget_gaps(T* numbers) const {
    const int64_t end = round_up(windows, kLanes<T>);
    for (int64_t i = 0; i < images_ * pitch_y_; ++i) {
      const int64_t used = i % pitch_y_ < lines_ ? columns_ : 0;
      for (int64_t at = i * pitch_ + used; at < (i + 1) * pitch_; ++at) numbers[at] = 0;
    }
    for (int64_t at = images_ * pitch_y_ * pitch_; at < end; ++at) numbers[at] = 0;
  }

  // The images of the block, with `around` in place of what is outside of them.
  const T* fill_planes(const Operand& operand, int64_t r, T around, int kind) const {
    T* planes = scratch_ + kind * image_size();
    const T* images = row_of<T>(operand, r);
    const int64_t step = it_.stride_x;
    const auto some = [&](int64_t to, int64_t from, int64_t n) {
      T *line = planes + to, *next = line + plane_;
      const T* x = images + from;
      if (paired()) {
        for (int64_t c = 0; c < n; ++c) {
          line[c] = x[2 * c];
          next[c] = x[2 * c + 1];
        }
      } else if (step == 1) {
        copy_row(line, x, n);
      } else {
        for (int64_t c = 0; c < n; ++c) line[c] = x[c * step];
      }
    };
    for_each_plane_line(some, [&](int64_t to, int64_t from, bool within) {
      planes[to] = within ? images[from] : around;
    });
    return planes;
  }

  T* zero_planes(int kind) const {
    T* planes = scratch_ + kind * image_size();
    fill_row(planes, T(0), image_size());
    return planes;
  }

  // Adds what stands in planes to the images.
  void add_planes(const T* planes, const Operand& operand, int64_t r) const {
    T* images = row_of<T>(operand, r);
    const int64_t step = it_.stride_x;
    const auto some = [&](int64_t from, int64_t to, int64_t n) {
      const T *line = planes + from, *next = line + plane_;
      T* x = images + to;
      if (paired()) {
        for (int64_t c = 0; c < n; ++c) {
          x[2 * c] += line[c];
          x[2 * c + 1] += next[c];
        }
      } else if (step == 1) {
        add_row(x, line, n);
      } else {
        for (int64_t c = 0; c < n; ++c) x[c * step] += line[c];
      }
    };
    for_each_plane_line(some, [&](int64_t from, int64_t to, bool within) {
      if (within) images[to] += planes[from];
    });
  }

 private:
  static constexpr int64_t kBudget = kScratchBytes / static_cast<int64_t>(sizeof(T));

  int64_t image_size() const { return planes_y_ * planes_x_ * plane_; }

  // As many images as stay in a near cache; or a part of the lines and columns of one.
  void choose() {
    most_lines_ = it_.windows_y;
    most_columns_ = it_.windows_x;
    most_images_ = it_.outer;
    while (needed() > kBudget / 8 && most_images_ > 1) most_images_ = (most_images_ + 1) / 2;
    while (needed() > kBudget / 8 && most_lines_ > 1) most_lines_ = (most_lines_ + 1) / 2;
    while (needed() > kBudget / 2 && most_columns_ > 1) most_columns_ = (most_columns_ + 1) / 2;
  }

  // Elements of scratch for such a block.
  int64_t needed() {
    pitch_ = most_columns_ + (it_.size_x - 1) / it_.stride_x;
    pitch_y_ = most_lines_ + (it_.size_y - 1) / it_.stride_y;
    // Whole steps of vectors are read from each offset on.
    plane_ = round_up(most_images_ * pitch_y_ * pitch_, kLanes<T>) + 2 * kStep;
    return kinds_ * image_size() + numbers_ * plane_;
  }

  // Calls body(place in an operand, place among the windows) for each line of windows.
  template <class Body>
  CAVS_INLINE void for_each_line(Body body) const {
    for (int64_t g = 0; g < images_; ++g) {
      for (int64_t v = 0; v < lines_; ++v) {
        body(((image_ + g) * it_.windows_y + line_ + v) * it_.windows_x + column_,
             (g * pitch_y_ + v) * pitch_);
      }
    }
  }

  // Whether the planes of two neighbouring elements go together, which are read as they stand.
  bool paired() const { return it_.stride_x == 2 && planes_x_ == 2; }

  // For each line of each plane, or of pairs: calls some(place in the planes, place in an operand,
  // count) for elements of the image that follow each other, a stride apart there, and one(place,
  // place, whether it is within the image) for each other one.
  template <class Some, class One>
  CAVS_INLINE void for_each_plane_line(Some some, One one) const {
    const int64_t step = it_.stride_x, together = paired() ? 2 : 1;
    for (int64_t i = 0; i < planes_y_; ++i) {
      for (int64_t j = 0; j < planes_x_; j += together) {
        const int64_t start = column_ * step - it_.left + j;
        const int64_t last = it_.width - (start + together - 1);
        const int64_t end = least(last <= 0 ? 0 : (last + step - 1) / step, pitch_);
        const int64_t begin = least(start < 0 ? (step - 1 - start) / step : 0, end);
        for (int64_t g = 0; g < images_; ++g) {
          for (int64_t v = 0; v < pitch_y_; ++v) {
            const int64_t y = (line_ + v) * it_.stride_y - it_.top + i;
            const bool there = y >= 0 && y < it_.height;
            const int64_t place = (i * planes_x_ + j) * plane_ + (g * pitch_y_ + v) * pitch_;
            const int64_t element = ((image_ + g) * it_.height + y) * it_.width + start;
            const auto one_by_one = [&](int64_t from, int64_t to) {
              for (int64_t l = 0; l < together; ++l) {
                for (int64_t c = from; c < to; ++c) {
                  const int64_t x = start + l + c * step;
                  one(place + l * plane_ + c, element + l + c * step,
                      there && x >= 0 && x < it_.width);
                }
              }
            };
            if (!there) {
              one_by_one(0, pitch_);
              continue;
            }
            one_by_one(0, begin);
            some(place + begin, element + begin * step, end - begin);
            one_by_one(end, pitch_);
          }
        }
      }
    }
  }

  static constexpr int64_t kStep = kPoolVectors * kLanes<T>;

  const KernelCall& call_;
  const PoolAttributes& it_;
  int64_t planes_y_, planes_x_;
  int kinds_, numbers_;
  int64_t most_images_ = 1, most_lines_ = 1, most_columns_ = 1;
  int64_t pitch_ = 1, pitch_y_ = 1, plane_ = 1;
  int64_t image_ = 0, images_ = 1, line_ = 0, lines_ = 1, column_ = 0, columns_ = 1;
  T* scratch_ = nullptr;
};

}  // namespace
}  // namespace cavs
