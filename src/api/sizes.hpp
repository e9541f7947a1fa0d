#pragma once
#include "call.hpp"

namespace corten::api {

struct TerminalSize {
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
};
/// The queries h and w of a resize; both are needed.
Result<TerminalSize> terminal_size(const Call& call);

}  // namespace corten::api
