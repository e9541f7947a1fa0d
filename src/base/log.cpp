#include <base/clock.hpp>
#include <base/log.hpp>

#include <unistd.h>

namespace corten::log {

namespace {
Level threshold = Level::info;
constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
}  // namespace

void set_level(Level level) {
    threshold = level;
}
bool enabled(Level level) {
    return level >= threshold;
}

void write(Level level, std::string_view line) {
    if (!enabled(level)) return;
    const std::string text = fmt::format("time=\"{}\" level={} msg=\"{}\"\n", rfc3339(now()),
                                         names[static_cast<int>(level)], line);
    // There is nowhere left to report a failure to write the log.
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace corten::log
