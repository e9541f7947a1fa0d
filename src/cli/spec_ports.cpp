#include "specs.hpp"

#include <base/text.hpp>

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace corten::cli {

namespace {

struct Range {
    int first = 0;
    int last = 0;
    int count() const { return last - first + 1; }
};

Result<int> parse_port(std::string_view text) {
    const auto number = parse_integer(text, "port");
    if (!number || *number < 0 || *number > 65535) return fail(ErrorKind::invalid, "{}", text);
    return static_cast<int>(*number);
}

Result<Range> parse_range(std::string_view text) {
    const auto [low, high] = split_once(text, '-');
    const int first = TRY(parse_port(low));
    const bool single = low.size() == text.size();
    const Range range{first, single ? first : TRY(parse_port(high))};
    if (range.last < range.first)
        return fail(ErrorKind::invalid, "invalid range specified for port: {}", text);
    return range;
}

bool is_address(const std::string& text) {
    std::array<unsigned char, sizeof(in6_addr)> out;
    return ::inet_pton(AF_INET, text.c_str(), out.data()) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), out.data()) == 1;
}

struct PortSpec {
    std::string ip;
    std::string host;
    std::string container;
    std::string protocol = "tcp";
};

/// The last two colons separate; what is before them is the address.
PortSpec split_port_spec(const std::string& spec) {
    std::vector<std::string> parts = split(spec, ':');
    PortSpec out;
    out.container = parts.back();
    parts.pop_back();
    if (!parts.empty()) {
        out.host = parts.back();
        parts.pop_back();
    }
    out.ip = join(parts, ":");
    const auto [port, protocol] = split_once(out.container, '/');
    if (!protocol.empty()) out.protocol = to_lower(protocol);
    out.container = std::string(port);
    return out;
}

Result<void> check_address(PortSpec& spec) {
    if (spec.ip.starts_with('[') && spec.ip.ends_with(']'))
        spec.ip = spec.ip.substr(1, spec.ip.size() - 2);
    if (!spec.ip.empty() && !is_address(spec.ip))
        return fail(ErrorKind::invalid, "invalid IP address: {}", spec.ip);
    return {};
}

Result<void> check_protocol(const std::string& protocol) {
    if (protocol == "tcp" || protocol == "udp" || protocol == "sctp") return {};
    return fail(ErrorKind::invalid, "invalid proto: {}", protocol);
}

Result<void> add_bindings(const PortSpec& spec, PublishedPorts& ports) {
    const auto inside = parse_range(spec.container);
    if (!inside) return fail(ErrorKind::invalid, "invalid containerPort: {}", spec.container);
    Range outside{};
    if (!spec.host.empty()) {
        const auto parsed = parse_range(spec.host);
        if (!parsed) return fail(ErrorKind::invalid, "invalid hostPort: {}", spec.host);
        outside = *parsed;
        if (outside.count() != inside->count() && inside->count() != 1)
            return fail(ErrorKind::invalid,
                        "invalid ranges specified for container and host Ports: {} and {}",
                        spec.container, spec.host);
    }
    TRY(check_protocol(spec.protocol));
    for (int i = 0; i < inside->count(); ++i) {
        const std::string key = fmt::format("{}/{}", inside->first + i, spec.protocol);
        std::string host = spec.host.empty() ? "" : std::to_string(outside.first + i);
        // One container port and a range outside: any free port of the range.
        if (inside->count() == 1 && outside.count() > 1) host += fmt::format("-{}", outside.last);
        ports.exposed[key];
        auto& bindings = ports.bindings[key];
        if (!bindings) bindings.emplace();
        bindings->push_back({.host_ip = spec.ip, .host_port = std::move(host)});
    }
    return {};
}

Result<PortSpec> parse_long_port(const std::string& spec) {
    PortSpec out;
    for (const std::string& field : TRY(split_csv(spec))) {
        const auto [key, value] = split_once(field, '=');
        const std::string name = to_lower(key);
        if (key.size() == field.size() || value.empty())
            return fail(ErrorKind::invalid, "invalid field: {}", field);
        if (name == "protocol")
            out.protocol = to_lower(value);
        else if (name == "target")
            out.container = value;
        else if (name == "published")
            out.host = value;
        else if (name == "mode") {
            if (value != "ingress" && value != "host")
                return fail(ErrorKind::invalid,
                            "invalid publish mode value ({}): must be either "
                            "'ingress' or 'host'",
                            value);
        } else
            return fail(ErrorKind::invalid, "invalid field key: {}", key);
    }
    if (out.container.empty()) return fail(ErrorKind::invalid, "missing mandatory field 'target'");
    return out;
}

}  // namespace

Result<void> parse_publish(const std::string& text, PublishedPorts& ports) {
    if (text.find('=') != text.npos) return add_bindings(TRY(parse_long_port(text)), ports);
    PortSpec spec = split_port_spec(text);
    TRY(check_address(spec));
    if (spec.container.empty())
        return fail(ErrorKind::invalid, "no port specified: {}<empty>", text);
    return add_bindings(spec, ports);
}

Result<void> parse_expose(const std::string& text, apitypes::NameSet& exposed) {
    if (text.find(':') != text.npos)
        return fail(ErrorKind::invalid, "invalid port format for --expose: {}", text);
    const auto [port, protocol] = split_once(text, '/');
    const auto range = parse_range(port);
    if (!range)
        return fail(ErrorKind::invalid, "invalid range format for --expose: {}, error: {}", text,
                    range.error().message());
    const std::string suffix = protocol.empty() ? "tcp" : to_lower(protocol);
    TRY(check_protocol(suffix));
    for (int number = range->first; number <= range->last; ++number)
        exposed[fmt::format("{}/{}", number, suffix)];
    return {};
}

}  // namespace corten::cli
