// Variables, labels, security options and networks.
#include "specs.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace corten::cli {

namespace {

std::optional<std::string> own_variable(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
}

std::string_view trim_left(std::string_view text) {
    const auto start = text.find_first_not_of(" \t\r\n\v\f");
    return start == text.npos ? std::string_view() : text.substr(start);
}

/// A name without "=" takes our own variable's value, or is nothing at all.
enum class BareNames { look_up, drop };

Result<void> read_line(std::string_view line, BareNames bare, apitypes::Strings& out) {
    line = trim_left(line);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) return {};
    const auto [name, value] = split_once(line, '=');
    if (name.empty()) return fail(ErrorKind::invalid, "no variable name on line '{}'", line);
    if (name.find_first_of(" \t") != name.npos)
        return fail(ErrorKind::invalid, "variable '{}' contains whitespaces", name);
    if (name.size() < line.size()) {
        out.push_back(fmt::format("{}={}", name, value));
    } else if (bare == BareNames::look_up) {
        if (const auto own = own_variable(std::string(name)))
            out.push_back(fmt::format("{}={}", name, *own));
    }
    return {};
}

Result<void> read_lines(const std::string& path, BareNames bare, apitypes::Strings& out) {
    const std::string content = TRY(sys::read_file(path));
    std::string_view text = content;
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    for (const std::string& line : split(text, '\n')) TRY(read_line(line, bare, out));
    return {};
}

Result<std::string> compact_profile(const std::string& path) {
    auto content = sys::read_file(path);
    if (!content)
        return fail(ErrorKind::invalid, "opening seccomp profile ({}) failed: {}", path,
                    content.error().message());
    const auto json = parse_json(*content, path);
    if (!json)
        return fail(ErrorKind::invalid, "compacting json for seccomp profile ({}) failed: {}", path,
                    json.error().message());
    return dump_json(*json);
}

/// "key=value", or in the older form "key:value".
std::pair<std::string_view, std::string_view> split_option(std::string_view option) {
    if (option.find('=') != option.npos) return split_once(option, '=');
    return split_once(option, ':');
}

}  // namespace

Result<apitypes::Strings> parse_environment(const std::vector<std::string>& files,
                                            const std::vector<std::string>& values) {
    apitypes::Strings out;
    for (const std::string& path : files) {
        auto read = read_lines(path, BareNames::look_up, out);
        if (!read && read.error().number() != 0) return std::move(read).error();
        if (!read)
            return fail(ErrorKind::invalid, "invalid env file ({}): {}", path,
                        read.error().message());
    }
    for (const std::string& value : values) {
        if (value.empty() || value[0] == '=')
            return fail(ErrorKind::invalid,
                        "invalid argument \"{}\" for \"-e, --env\" flag: "
                        "invalid environment variable: {}",
                        value, value);
        const auto own = value.find('=') == value.npos ? own_variable(value) : std::nullopt;
        out.push_back(own ? fmt::format("{}={}", value, *own) : value);
    }
    return out;
}

Result<apitypes::StringMap> parse_labels(const std::vector<std::string>& files,
                                         const std::vector<std::string>& values) {
    apitypes::Strings lines;
    for (const std::string& path : files) TRY(read_lines(path, BareNames::drop, lines));
    lines.insert(lines.end(), values.begin(), values.end());
    return parse_pairs(lines);
}

apitypes::StringMap parse_pairs(const std::vector<std::string>& values) {
    apitypes::StringMap out;
    for (const std::string& entry : values) {
        const auto [key, value] = split_once(entry, '=');
        out[std::string(key)] = value;
    }
    return out;
}

Result<SecurityOptions> parse_security_options(const std::vector<std::string>& values) {
    SecurityOptions out;
    for (const std::string& option : values) {
        const auto [key, value] = split_option(option);
        if (value.empty() && key != "no-new-privileges")
            return fail(ErrorKind::invalid, "invalid --security-opt: \"{}\"", option);
        if (key == "systempaths" && value == "unconfined") {
            out.all_system_paths = true;
        } else if (key == "seccomp" && value != "unconfined" && value != "builtin") {
            out.options.push_back("seccomp=" + TRY(compact_profile(std::string(value))));
        } else {
            out.options.push_back(option);
        }
    }
    return out;
}

bool is_user_network(std::string_view name) {
    constexpr std::array modes = {"bridge", "host", "none", "default"};
    return std::ranges::find(modes, name) == modes.end() && !name.starts_with("container:") &&
           name != "container";
}

Result<NetworkChoice> parse_network(const std::string& spec) {
    if (spec.find('=') == spec.npos) return NetworkChoice{.name = spec, .endpoint = {}};
    NetworkChoice out;
    apitypes::EndpointIpamConfig addresses;
    for (const std::string& field : TRY(split_csv(spec))) {
        const auto [key, raw] = split_once(field, '=');
        const std::string value(trim(raw));
        if (key.size() == field.size()) return fail(ErrorKind::invalid, "invalid field {}", field);
        const auto append = [&](apitypes::StringList& list) {
            if (!list) list.emplace();
            list->push_back(value);
        };
        if (key == "name")
            out.name = value;
        else if (key == "alias")
            append(out.endpoint.aliases);
        else if (key == "driver-opt") {
            const auto [name, setting] = split_once(value, '=');
            if (!out.endpoint.driver_opts) out.endpoint.driver_opts.emplace();
            (*out.endpoint.driver_opts)[std::string(name)] = setting;
        } else if (key == "ip")
            addresses.ipv4_address = value;
        else if (key == "ip6")
            addresses.ipv6_address = value;
        else if (key == "mac-address")
            out.endpoint.mac_address = value;
        else if (key == "link-local-ip")
            addresses.link_local_ips.push_back(value);
        else if (key == "gw-priority")
            out.endpoint.gw_priority = static_cast<int>(TRY(parse_integer(value, "gw-priority")));
        else
            return fail(ErrorKind::invalid, "invalid field key {}", key);
    }
    if (out.name.empty()) return fail(ErrorKind::invalid, "network name/id is not specified");
    if (!addresses.ipv4_address.empty() || !addresses.ipv6_address.empty() ||
        !addresses.link_local_ips.empty())
        out.endpoint.ipam_config = std::move(addresses);
    return out;
}

}  // namespace corten::cli
