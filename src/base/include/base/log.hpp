#pragma once
// The log facade. Library code does not log: it returns errors, and the program's edge logs each
// once. What is survived on purpose is logged with "..., ignoring".
#include <fmt/format.h>

#include <string_view>

namespace corten::log {

enum class Level { debug, info, warning, error };

/// Lines below this level are dropped. Set once at start, before threads.
void set_level(Level level);
bool enabled(Level level);
/// Writes one line with time and level to standard error, in one write.
void write(Level level, std::string_view line);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::debug))
        write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
    write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace corten::log
