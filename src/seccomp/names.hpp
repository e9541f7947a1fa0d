#pragma once
// The specification's names and libseccomp's numbers.
#include <base/result.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace corten::seccomp {

/// `errno_ret` is for ERRNO and TRACE; the default is EPERM.
Result<std::uint32_t> action_number(std::string_view name, std::optional<std::uint32_t> errno_ret,
                                    std::string_view field);
/// Whether one action lets less through than another, by the kernel's order of precedence.
bool is_stricter(std::string_view action, std::string_view than);
Result<int> operator_number(std::string_view name, std::string_view field);
Result<std::uint32_t> architecture_number(std::string_view name, std::string_view field);
Result<unsigned> flag_number(std::string_view name);

}  // namespace corten::seccomp
