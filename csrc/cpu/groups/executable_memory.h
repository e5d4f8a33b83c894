// Memory that the processor may execute. Never writable and executable at once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace cavs {

// A copy of the code, unmapped with its last owner; null where the system refuses.
std::shared_ptr<const void> make_executable_memory(const std::vector<uint8_t>& code);

}  // namespace cavs
