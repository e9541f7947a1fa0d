#include "log.hpp"

#include <base/clock.hpp>
#include <base/fd.hpp>
#include <base/json.hpp>
#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace corten::runtime_cli {
namespace {

struct Log {
    Fd file;
    LogFormat format = LogFormat::text;
    bool debug = false;
};

Log& log_state() {
    static Log state;
    return state;
}

struct Line {
    std::string level;
    std::string msg;
    std::string time;
    static constexpr void fields(auto visit) {
        visit(field("level", &Line::level), field("msg", &Line::msg), field("time", &Line::time));
    }
};

void write_line(std::string_view level, std::string_view message) {
    auto& log = log_state();
    const auto time = rfc3339(std::chrono::floor<std::chrono::seconds>(now()));
    std::string text;
    if (log.format == LogFormat::json)
        text = dump_json(to_json(Line{std::string(level), std::string(message), time}));
    else
        text = fmt::format("time=\"{}\" level={} msg={}", time, level,
                           Json(message).dump(-1, ' ', false, Json::error_handler_t::replace));
    text += '\n';
    // There is nowhere to report that the report could not be written.
    sys::write_all(log.file ? FdView(log.file) : FdView(STDERR_FILENO), text).ignore();
}

}  // namespace

Result<void> open_log(const std::string& path, LogFormat format, bool debug) {
    auto& log = log_state();
    log.format = format;
    log.debug = debug;
    if (path.empty()) return {};
    log.file = TRY(sys::open(path, O_WRONLY | O_CREAT | O_APPEND, 0644));
    return {};
}

void log_debug(std::string_view message) {
    if (log_state().debug) write_line("debug", message);
}

void log_warning(std::string_view message) {
    write_line("warning", message);
}

void log_fatal(std::string_view message) {
    write_line("error", message);
    if (log_state().file)
        sys::write_all(FdView(STDERR_FILENO), std::string(message) + "\n").ignore();
}

}  // namespace corten::runtime_cli
