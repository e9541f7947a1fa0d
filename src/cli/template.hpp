#pragma once
// The part of Go's text/template that --format needs, over JSON values: fields and chains,
// variables, if/else if/with/range, pipelines, and docker's functions (json, split, join, title,
// lower, upper, pad, truncate) beside Go's own (and, or, not, eq, lt, ..., len, index, slice,
// print, printf). Language: https://pkg.go.dev/text/template
#include <base/json.hpp>
#include <base/result.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace corten::cli {

namespace tmpl {
struct List;
}

class Template;
/// What --format takes besides tables: "json" stands for the whole object as JSON.
Result<Template> parse_format(std::string_view format);

class Template {
public:
    /// Errors are worded as Go's: "template: :1: unclosed action".
    static Result<Template> parse(std::string_view text);

    /// Executes against `data`. A member that is not there is an error where its value is printed
    /// or looked into, and counts as false in conditions. Names match without case when there is
    /// no exact match, because docker's own templates use Go's names (.ID) beside JSON's (.Id).
    Result<std::string> execute(const Json& data) const;

    Template(Template&&) noexcept;
    Template& operator=(Template&&) noexcept;
    ~Template();

private:
    explicit Template(std::unique_ptr<tmpl::List> root);
    std::unique_ptr<tmpl::List> root_;
};

/// An object with this member answers `.Label "name"` from it, as docker's list contexts do.
inline constexpr const char* labels_member = "\x01labels";

}  // namespace corten::cli
