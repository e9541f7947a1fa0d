#include "table.hpp"

#include <base/clock.hpp>
#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <ctime>

namespace corten::cli {

namespace {

constexpr std::size_t gap = 3;

bool starts_character(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

/// A shell cannot easily pass a tab: docker takes the two characters \t and \n for it.
std::string unescape(std::string_view format) {
    std::string out;
    for (std::size_t i = 0; i < format.size(); ++i) {
        const bool escape = format[i] == '\\' && i + 1 < format.size();
        if (escape && format[i + 1] == 't')
            out += '\t', ++i;
        else if (escape && format[i + 1] == 'n')
            out += '\n', ++i;
        else
            out += format[i];
    }
    return out;
}

Result<std::string> execute(const Template& parsed, const Json& row) {
    auto out = parsed.execute(row);
    if (!out) return std::move(out).error().context("failed to execute template");
    return std::move(*out);
}

Result<std::string> render_table(const ListFormat& format, std::string_view body,
                                 const std::vector<Json>& rows) {
    const Template parsed = TRY(Template::parse(body).context("failed to parse template"));
    std::string text = TRY(execute(parsed, format.headers)) + "\n";
    for (const Json& row : rows) text += TRY(execute(parsed, row)) + "\n";
    return align_columns(text);
}

Result<std::string> render_rows(std::string_view body, const std::vector<Json>& rows) {
    const Template parsed = TRY(Template::parse(body).context("failed to parse template"));
    std::string text;
    for (const Json& row : rows) text += TRY(execute(parsed, row)) + "\n";
    return text;
}

}  // namespace

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

std::string align_columns(std::string_view rows, std::size_t least_width) {
    std::vector<std::vector<std::string>> lines;
    std::vector<std::size_t> widths;
    for (const std::string& line : split(rows, '\n')) {
        lines.push_back(split(line, '\t'));
        const auto& cells = lines.back();
        for (std::size_t i = 0; i + 1 < cells.size(); ++i) {
            if (widths.size() <= i) widths.push_back(least_width);
            widths[i] = std::max(widths[i], display_width(cells[i]) + gap);
        }
    }
    if (!lines.empty() && lines.back().size() == 1 && lines.back()[0].empty()) lines.pop_back();
    std::string out;
    for (const auto& cells : lines) {
        for (std::size_t i = 0; i < cells.size(); ++i) {
            out += cells[i];
            if (i + 1 < cells.size()) out.append(widths[i] - display_width(cells[i]), ' ');
        }
        out += '\n';
    }
    return out;
}

Result<std::string> render_list(const ListFormat& format, const std::vector<Json>& rows) {
    const std::string wanted = unescape(format.format);
    if (wanted.empty() || wanted == "table") {
        if (format.quiet) return render_rows(format.quiet_template, rows);
        return render_table(format, format.table, rows);
    }
    if (wanted == "raw" && !format.raw.empty())
        return render_rows(format.quiet ? format.raw.substr(0, format.raw.find('\n')) : format.raw,
                           rows);
    if (wanted.starts_with("table ") && !format.quiet)
        return render_table(format, trim(wanted.substr(6)), rows);
    if (format.quiet) return render_rows(format.quiet_template, rows);
    if (wanted == "json") return render_rows("{{json .}}", rows);
    return render_rows(wanted, rows);
}

std::string ellipsis(std::string_view text, std::size_t width) {
    if (display_width(text) <= width) return std::string(text);
    std::size_t end = 0;
    std::size_t count = 0;
    while (end < text.size()) {
        if (starts_character(text[end]) && ++count == width) break;
        ++end;
    }
    return std::string(text.substr(0, end)) + "…";
}

std::string join_labels(const Json& labels) {
    if (!labels.is_object()) return "";
    std::vector<std::string> pairs;
    for (const auto& [key, value] : labels.items())
        pairs.push_back(key + "=" + (value.is_string() ? value.get<std::string>() : value.dump()));
    std::ranges::sort(pairs);
    return join(pairs, ",");
}

std::string time_ago(std::int64_t unix_seconds) {
    const auto age = now() - WallTime(std::chrono::seconds(unix_seconds));
    return human_duration(age) + " ago";
}

std::string local_time(std::int64_t unix_seconds) {
    const std::time_t seconds = unix_seconds;
    std::tm parts{};
    ::localtime_r(&seconds, &parts);
    char text[64];
    const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %z %Z", &parts);
    return std::string(text, length);
}

std::string go_quoted(std::string_view text) {
    return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace corten::cli
