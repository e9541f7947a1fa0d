#pragma once
// Lists as docker prints them: a table from a template, or the template's output per row.
#include "template.hpp"

#include <base/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::cli {

/// Aligns cells separated by tabs, rows by line breaks: columns at least so wide, 3 apart.
std::string align_columns(std::string_view rows, std::size_t least_width = 10);

/// What a list shows.
struct ListFormat {
    std::string format;  ///< --format: "", "table", "table TEMPLATE", "json", "raw", TEMPLATE
    std::string table;   ///< the template of the plain table: "{{.ID}}\t{{.Names}}"
    Json headers;        ///< by member: {"ID": "CONTAINER ID"}
    bool quiet = false;  ///< prints `quiet_template` per row
    std::string quiet_template = "{{.ID}}";
    std::string raw = {};  ///< of --format raw: "container_id: {{.ID}}\n…"; its first line with -q
};

/// The finished text. Rows are objects whose members a template can name.
Result<std::string> render_list(const ListFormat& format, const std::vector<Json>& rows);

/// Shortens to `width` characters (not bytes), the last of which is an ellipsis.
std::string ellipsis(std::string_view text, std::size_t width);
std::size_t display_width(std::string_view text);

/// "k=v,k2=v2" of an object, sorted by key.
std::string join_labels(const Json& labels);
/// "3 hours ago" for unix seconds.
std::string time_ago(std::int64_t unix_seconds);
/// "2026-11-24 08:28:50 +0000 UTC" in the local zone, as Go prints times.
std::string local_time(std::int64_t unix_seconds);
/// Go's %q.
std::string go_quoted(std::string_view text);

}  // namespace corten::cli
