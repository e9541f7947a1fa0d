#pragma once
// Container names: the made-up ones, and the rule for given ones.
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::engine {

/// "adjective_surname" as docker's users know it; `attempt` above 0 appends a digit.
std::string made_up_name(int attempt);

/// The name without its slash; error invalid with docker's text.
Result<std::string> check_container_name(std::string_view name);
/// The same rule for volumes: no slashes, no leading dot.
Result<void> check_volume_name(std::string_view name);

}  // namespace corten::engine
