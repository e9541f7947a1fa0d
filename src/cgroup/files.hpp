#pragma once
// Reading and writing the small files of a control group directory.
#include <base/result.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::cgroup {

/// The whole file, without the last newline.
Result<std::string> read_control(const std::string& directory, std::string_view file);
/// A single number; "max" is the largest. nullopt when the file is not there or not a number.
std::optional<std::uint64_t> read_number(const std::string& directory, std::string_view file);
/// "key value" lines (memory.stat, cpu.stat, memory.events). Empty when the file is not there.
std::map<std::string, std::uint64_t> read_flat_keyed(const std::string& directory,
                                                     std::string_view file);
/// The paths of the groups right below; none when `directory` is gone.
Result<std::vector<std::string>> subgroups(const std::string& directory);
bool has_control(const std::string& directory, std::string_view file);

/// One write. A file that does not exist is ErrorKind::unsupported and names `kernel_option`.
Result<void> write_control(const std::string& directory, std::string_view file,
                           std::string_view value, std::string_view kernel_option);

std::optional<std::uint64_t> to_number(std::string_view text);

}  // namespace corten::cgroup
