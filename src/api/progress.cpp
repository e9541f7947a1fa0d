#include "progress.hpp"

#include <base/units.hpp>

namespace corten::api {

namespace {

constexpr auto shortest_interval = std::chrono::milliseconds(100);
constexpr int bar_width = 50;

/// Go's encoding/json escapes these three unless told otherwise, and the streams are not.
std::string escape_html(const std::string& json) {
    std::string out;
    out.reserve(json.size());
    for (const char c : json) {
        if (c == '<')
            out += "\\u003c";
        else if (c == '>')
            out += "\\u003e";
        else if (c == '&')
            out += "\\u0026";
        else
            out += c;
    }
    return out;
}

}  // namespace

std::string progress_bar(const apitypes::ProgressDetail& detail) {
    if (detail.current <= 0 && detail.total <= 0) return "";
    const std::string current = human_size(static_cast<double>(detail.current));
    if (detail.total <= 0) return fmt::format("{:>8}", current);
    const auto done = static_cast<int>(
        std::min<std::int64_t>(detail.current * 100 / detail.total / 2, bar_width));
    const std::string bar =
        fmt::format("[{}>{}] ", std::string(static_cast<std::size_t>(done), '='),
                    std::string(static_cast<std::size_t>(bar_width - done), ' '));
    if (detail.current > detail.total) return bar + fmt::format("{:>8}", current);
    return bar + fmt::format("{:>8}/{}", current, human_size(static_cast<double>(detail.total)));
}

std::string render_progress(apitypes::ProgressLine line) {
    if (line.progress_detail && line.progress.empty())
        line.progress = progress_bar(*line.progress_detail);
    return escape_html(dump_json(to_json(line))) + "\r\n";
}

bool ProgressStream::is_too_soon(const apitypes::ProgressLine& line) {
    if (!line.progress_detail || line.progress_detail->total <= 0) return false;
    auto& last = last_[line.id + line.status];
    const auto now = Clock::now();
    const bool complete = line.progress_detail->current >= line.progress_detail->total;
    if (!complete && now - last < shortest_interval) return true;
    last = now;
    return false;
}

void ProgressStream::send(const apitypes::ProgressLine& line) {
    if (client_gone_) return;
    if (!answer_.started()) {
        answer_.headers().set("Content-Type", "application/json");
        client_gone_ = !answer_.start(200).has_value();
    }
    // What is being done goes on or not as its own `cancel` says.
    if (!client_gone_) client_gone_ = !answer_.write(render_progress(line)).has_value();
}

void ProgressStream::write(const apitypes::ProgressLine& line) {
    std::lock_guard lock(mutex_);
    if (!is_too_soon(line)) send(line);
}

Result<void> ProgressStream::finish(Result<void> outcome) {
    std::lock_guard lock(mutex_);
    if (!answer_.started()) {
        TRY(std::move(outcome));
        answer_.headers().set("Content-Type", "application/json");
        return answer_.start(200);
    }
    if (!outcome.has_value()) {
        const std::string& message = outcome.error().message();
        send({.error_detail = apitypes::ProgressError{.message = message}, .error = message});
    }
    return {};
}

}  // namespace corten::api
