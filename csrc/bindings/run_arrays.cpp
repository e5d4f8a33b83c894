// Arrays, versions and seeds as runs take them.
#include "bindings/run_arrays.h"

#include "base/error.h"

namespace cavs {

std::vector<ExternalArray> external(const std::vector<Array>& arrays) {
  std::vector<ExternalArray> found;
  found.reserve(arrays.size());
  for (const Array& array : arrays) {
    ExternalArray one;
    one.data = array.data<void>();
    one.elements = array.size();
    one.dtype = array.dtype();
    found.push_back(one);
  }
  return found;
}

void set_versions(const std::vector<int64_t>& versions, std::vector<ExternalArray>* params) {
  CAVS_CHECK(versions.empty() || versions.size() == params->size(), ErrorKind::kShape,
             "[runtime] expected a version for each of ", params->size(), " parameters, got ",
             versions.size(), "; pass all of them or none");
  for (size_t i = 0; i < versions.size(); ++i) (*params)[i].version = versions[i];
}

RandomContext random_context(uint64_t seed, uint64_t step, bool training) {
  RandomContext context;
  context.seed = seed;
  context.step = step;
  context.training = training;
  return context;
}

}  // namespace cavs
