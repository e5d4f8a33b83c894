// Describes values of Python in errors.
#include "bindings/read.h"

#include <algorithm>

namespace py = pybind11;

namespace cavs {

std::string describe(py::handle value) {
  constexpr size_t kMaxLength = 60;
  std::string text = py::repr(value).cast<std::string>();
  std::replace(text.begin(), text.end(), '\n', ' ');
  if (text.size() <= kMaxLength) return text;
  // The cut must not fall into a UTF-8 character, which Python would refuse to decode.
  size_t length = kMaxLength;
  while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
  return text.substr(0, length) + "...";
}

}  // namespace cavs
