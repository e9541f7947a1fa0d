#pragma once
// Exit codes of `run`, `start -a` and `exec`: the container's own, or docker's for failures before.
#include <base/result.hpp>

#include <string_view>

namespace corten::cli {

inline constexpr int exit_daemon_error = 125;
inline constexpr int exit_not_executable = 126;
inline constexpr int exit_not_found = 127;

/// 127 when the command was not found, 126 when it cannot be executed, else 125. The daemon only
/// says it in words, and the words are those that docker's own client looks for.
int exit_code_of_failure(std::string_view message);

}  // namespace corten::cli
