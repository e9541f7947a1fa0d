#include "progress.hpp"

#include <base/units.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

std::string text_of(const Json& line, const char* name) {
    const auto found = line.find(name);
    return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_of(const Json& detail, const char* name) {
    const auto found = detail.find(name);
    return found != detail.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

}  // namespace

std::string progress_bar(std::int64_t current, std::int64_t total, unsigned width) {
    if (current <= 0 && total <= 0) return "";
    const std::string done = human_size(static_cast<double>(current));
    if (total <= 0 || current > total) return fmt::format("{:>8}", done);
    constexpr int cells = 50;
    constexpr unsigned width_for_bar = 110;
    const auto filled = static_cast<std::size_t>(current * cells / total);
    std::string numbers = fmt::format("{:>8}/{}", done, human_size(static_cast<double>(total)));
    if (width < width_for_bar) return numbers;
    return fmt::format("[{}>{}] {}", std::string(filled, '='), std::string(cells - filled, ' '),
                       numbers);
}

Result<std::string> Progress::take(const Json& line) {
    if (const auto detail = line.find("errorDetail"); detail != line.end() && detail->is_object())
        return Error(ErrorKind::internal, text_of(*detail, "message"));
    if (const std::string error = text_of(line, "error"); !error.empty())
        return Error(ErrorKind::internal, error);
    if (std::string stream = text_of(line, "stream"); !stream.empty()) return stream;
    if (const auto aux = line.find("aux");
        aux != line.end() && aux->is_object() && aux->value("manifestPushedInsteadOfIndex", false))
        return fmt::format("Not all platforms of the index are here: {} was pushed alone\n",
                           text_of(aux->value("selectedManifest", Json::object()), "digest"));
    const std::string status = text_of(line, "status");
    const std::string id = text_of(line, "id");
    if (status.empty()) return std::string();
    std::string bar;
    if (const auto detail = line.find("progressDetail");
        detail != line.end() && detail->is_object())
        bar = progress_bar(number_of(*detail, "current"), number_of(*detail, "total"), width_);
    if (id.empty()) {
        ids_.clear();  // what follows is drawn below this line
        return status + "\n";
    }
    if (width_ == 0) return bar.empty() ? fmt::format("{}: {}\n", id, status) : std::string();
    const bool has_detail = line.contains("progressDetail");
    const std::string text = fmt::format("{}: {}{}{}", id, status, bar.empty() ? "" : " ", bar);
    return has_detail ? redraw(id, text) : text + "\n";
}

std::string Progress::redraw(const std::string& id, const std::string& text) {
    const auto found = std::ranges::find(ids_, id);
    const std::string clipped = text.substr(0, width_ > 1 ? width_ - 1 : 1);
    if (found == ids_.end()) {
        ids_.push_back(id);
        return clipped + "\n";
    }
    const auto up = ids_.end() - found;
    return fmt::format("\x1b[{}A\r\x1b[2K{}\x1b[{}B\r", up, clipped, up);
}

}  // namespace corten::cli
