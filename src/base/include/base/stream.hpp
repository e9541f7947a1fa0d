#pragma once
// Byte streams between layers, as plain callables: archives, image layers, request and reply
// bodies.
#include <base/result.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

namespace corten {

/// Takes all bytes it is given, or fails; it may block (back-pressure).
using ByteSink = std::function<Result<void>(std::string_view bytes)>;

/// Fills the front of the buffer and gives how much; 0 is the end. It may block.
using ByteSource = std::function<Result<std::size_t>(std::span<char> buffer)>;

}  // namespace corten
