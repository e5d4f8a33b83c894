// Objects of the whole process.
#pragma once

namespace cavs {

// The one object of its type. It is made when it is first asked for and never destroyed: native
// calls may go on while the process ends.
template <class T>
T& everlasting() {
  static auto* const object = new T;
  return *object;
}

}  // namespace cavs
