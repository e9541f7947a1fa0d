#pragma once
#include <string>
#include <string_view>

namespace corten {

/// 64 lower-case hex digits from the kernel's random source. The first 12 are never all digits,
/// because they become the container's hostname.
std::string random_id();

/// `n` random bytes as 2n hex digits.
std::string random_hex(std::size_t n);

/// The first 12 digits, as shown to people.
inline std::string_view short_id(std::string_view id) {
    return id.substr(0, 12);
}

}  // namespace corten
