// Chooses the instruction set at start-up.
#include "base/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>

#include "base/error.h"

namespace cavs {
namespace {

Isa best_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("fma")) {
    return Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::kAvx2;
#endif
  return Isa::kGeneric;
}

// The value of CAVS_ISA; null where it is unset or empty.
const char* wanted_isa() {
  const char* wanted = std::getenv("CAVS_ISA");
  return wanted == nullptr || *wanted == '\0' ? nullptr : wanted;
}

std::optional<Isa> isa_named(const char* name) {
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= best_isa() && std::strcmp(name, isa_name(isa)) == 0) return isa;
  }
  return std::nullopt;
}

Isa choose_isa() {
  const char* wanted = wanted_isa();
  return wanted == nullptr ? best_isa() : isa_named(wanted).value_or(best_isa());
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx2:
      return "avx2";
    default:
      return "generic";
  }
}

void check_isa() {
  const char* wanted = wanted_isa();
  if (wanted == nullptr || isa_named(wanted)) return;
  std::string known;
  for (const Isa isa : {Isa::kGeneric, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= best_isa()) known += std::string(known.empty() ? "" : ", ") + isa_name(isa);
  }
  fail(ErrorKind::kValue, "[cavs] expected the environment variable CAVS_ISA to be one of ", known,
       ", which this machine has, got '", wanted, "'; unset it for the best of them");
}

Isa current_isa() {
  static const Isa isa = choose_isa();
  return isa;
}

}  // namespace cavs
