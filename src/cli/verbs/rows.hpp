#pragma once
// Pieces of the lists that several verbs print.
#include "../context.hpp"

#include <base/json.hpp>

#include <string>

namespace corten::cli {

/// One container as `ps` shows it, with the members that a template can name.
Json container_row(const Json& container, bool shorten);
/// The rows of one image: one for each tag, or one "<none>".
std::vector<Json> image_rows(const Json& image, bool shorten, bool with_digests);

/// "0.0.0.0:8080->80/tcp, 9000-9001/tcp": neighbouring ports are shown as a range.
std::string ports_text(const Json& ports);

/// Members that may be missing: then 0, or an empty list.
std::int64_t number(const Json& object, const char* name);
const Json& list_of(const Json& object, const char* name);

/// "sha256:abcdef..." to its first 12 digits.
std::string short_image_id(std::string_view id);

/// --format, or what the user's configuration sets for this list.
Result<std::string> format_or_configured(Context& context, const FlagValues& flags,
                                         const char* setting);

/// Prints objects as `inspect` does: an indented list, or the template for each.
Result<int> print_inspected(const std::vector<Json>& objects, const std::string& format);

/// Finds each object that the line names and prints them; those that are missing are errors at the
/// end.
Result<int> inspect_each(const ParsedLine& line,
                         const std::function<Result<Json>(const std::string& name)>& find);

/// Prints `value` as the --format says: "json", or a template.
Result<int> print_formatted(const Json& value, const std::string& format);

/// The elements of GET /images/json?manifests=1, each with its platforms below it.
std::string image_tree(const Json& images);

}  // namespace corten::cli
