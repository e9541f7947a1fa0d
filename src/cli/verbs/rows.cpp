#include "rows.hpp"

#include "../template.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <optional>

namespace corten::cli {

namespace {

struct ShownPort {
    std::string ip;
    std::string protocol;
    int inside = 0;
    int outside = 0;  ///< 0: not published

    bool operator==(const ShownPort&) const = default;
};

bool comes_before(const ShownPort& a, const ShownPort& b) {
    return std::tie(a.inside, a.ip, a.outside, a.protocol) <
           std::tie(b.inside, b.ip, b.outside, b.protocol);
}

/// A run of ports whose inner and outer numbers go up together.
struct PortRun {
    ShownPort first;
    int length = 1;

    bool continues_with(const ShownPort& port) const {
        const bool same = port.ip == first.ip && port.protocol == first.protocol;
        const int outer = first.outside == 0 ? 0 : first.outside + length;
        return same && port.inside == first.inside + length && port.outside == outer;
    }
    std::string text() const {
        const auto range = [this](int start) {
            return length == 1 ? std::to_string(start)
                               : fmt::format("{}-{}", start, start + length - 1);
        };
        std::string inner = range(first.inside) + "/" + first.protocol;
        if (first.outside == 0) return inner;
        const bool v6 = first.ip.find(':') != first.ip.npos;
        const std::string host = v6 ? "[" + first.ip + "]" : first.ip;
        return fmt::format("{}:{}->{}", host, range(first.outside), inner);
    }
};

std::vector<ShownPort> read_ports(const Json& ports) {
    std::vector<ShownPort> out;
    for (const Json& port : ports)
        out.push_back({.ip = port.value("IP", ""),
                       .protocol = port.value("Type", "tcp"),
                       .inside = port.value("PrivatePort", 0),
                       .outside = port.value("PublicPort", 0)});
    std::ranges::sort(out, comes_before);
    out.erase(std::ranges::unique(out).begin(), out.end());
    return out;
}

}  // namespace

std::string ports_text(const Json& ports) {
    std::vector<PortRun> runs;
    for (const ShownPort& port : read_ports(ports)) {
        const auto run = std::ranges::find_if(
            runs, [&](const PortRun& candidate) { return candidate.continues_with(port); });
        if (run != runs.end())
            ++run->length;
        else
            runs.push_back({port});
    }
    std::vector<std::string> texts;
    texts.reserve(runs.size());
    for (const PortRun& run : runs) texts.push_back(run.text());
    return join(texts, ", ");
}

std::int64_t number(const Json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

const Json& list_of(const Json& object, const char* name) {
    static const Json none = Json::array();
    const auto found = object.find(name);
    return found != object.end() && found->is_array() ? *found : none;
}

std::string short_image_id(std::string_view id) {
    if (id.starts_with("sha256:")) id.remove_prefix(7);
    return std::string(id.substr(0, 12));
}

Result<std::string> format_or_configured(Context& context, const FlagValues& flags,
                                         const char* setting) {
    if (flags.given("format") || flags.on("quiet")) return flags.text("format");
    const Json config = TRY(context.config());
    return config.value(setting, std::string());
}

Result<int> print_inspected(const std::vector<Json>& objects, const std::string& format) {
    if (format.empty() || format == "json") {
        const Json list = objects.empty() ? Json::array() : Json(objects);
        print(format.empty() ? list.dump(4, ' ', false, Json::error_handler_t::replace) + "\n"
                             : dump_json(list) + "\n");
        return 0;
    }
    const Template parsed = TRY(Template::parse(format).context("template parsing error"));
    for (const Json& object : objects)
        print(TRY(parsed.execute(object).context("template parsing error")) + "\n");
    return 0;
}

Result<int> inspect_each(const ParsedLine& line,
                         const std::function<Result<Json>(const std::string& name)>& find) {
    std::vector<Json> found;
    std::vector<std::string> errors;
    for (const std::string& name : line.arguments) {
        auto object = find(name);
        if (object)
            found.push_back(std::move(*object));
        else
            errors.push_back(object.error().message());
    }
    const int code = TRY(print_inspected(found, line.flags.text("format")));
    for (const std::string& error : errors) print_error(error);
    return errors.empty() ? code : 1;
}

Result<int> print_formatted(const Json& value, const std::string& format) {
    const auto parsed = TRY(parse_format(format).context("template parsing error"));
    print(TRY(parsed.execute(value).context("template parsing error")) + "\n");
    return 0;
}

}  // namespace corten::cli
