#include <base/text.hpp>
#include <network/etc_files.hpp>

#include <arpa/inet.h>

namespace corten::network {

namespace {

constexpr std::string_view ipv4_lines = "127.0.0.1\tlocalhost\n";
constexpr std::string_view ipv6_lines =
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

bool is_address(const std::string& text) {
    unsigned char buffer[sizeof(in6_addr)];
    return ::inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

std::string without_brackets(std::string_view address) {
    if (address.starts_with('[') && address.ends_with(']'))
        address = address.substr(1, address.size() - 2);
    return std::string(address);
}

Result<std::string> extra_host_line(const std::string& entry, std::string_view host_gateway) {
    const auto at = entry.find_first_of(":=");
    const std::string name = entry.substr(0, at);
    if (at == std::string::npos || !valid_host_name(name))
        return fail(ErrorKind::invalid, "bad format for add-host: \"{}\"", entry);
    std::string address = without_brackets(std::string_view(entry).substr(at + 1));
    if (address == "host-gateway") address = host_gateway;
    if (address.empty())
        return fail(ErrorKind::invalid, "unable to derive the IP value for host-gateway");
    if (!is_address(address))
        return fail(ErrorKind::invalid, "invalid IP address in add-host: \"{}\"", address);
    return fmt::format("{}\t{}\n", address, name);
}

std::string host_line(std::string_view address, std::string_view names) {
    return fmt::format("{}\t{}\n", address, names);
}

}  // namespace

// Also when the name came with its domain in it.
std::string own_host_names(std::string_view hostname, std::string_view domain) {
    const std::string full =
        domain.empty() ? std::string(hostname) : fmt::format("{}.{}", hostname, domain);
    const auto [first, rest] = split_once(full, '.');
    return rest.empty() ? full : fmt::format("{} {}", full, first);
}

std::string with_host(std::string text, std::string_view address, std::string_view names) {
    if (!text.empty() && !text.ends_with('\n')) text += '\n';
    return text + host_line(address, names);
}

std::string without_host(std::string_view text, std::string_view address, std::string_view names) {
    const auto unwanted = host_line(address, names);
    std::string out;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n') + 1);  // all of it after the last newline
        const auto taken = line.empty() ? text : line;
        if (taken != unwanted) out += taken;
        text.remove_prefix(taken.size());
    }
    return out;
}

bool valid_host_name(std::string_view name) {
    return !name.empty() && std::ranges::none_of(name, [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == '#' || c == '\x7f';
    });
}

Result<std::string> extra_host_lines(const std::vector<std::string>& extra_hosts,
                                     std::string_view host_gateway) {
    std::string text;
    for (const auto& entry : extra_hosts) text += TRY(extra_host_line(entry, host_gateway));
    return text;
}

Result<std::string> hosts_file(const HostsFile& input) {
    std::string text(ipv4_lines);
    if (input.ipv6) text += ipv6_lines;
    text += TRY(extra_host_lines(input.extra_hosts, input.host_gateway));
    const std::string names = own_host_names(input.hostname, input.domain);
    const bool usable =
        valid_host_name(input.hostname) && (input.domain.empty() || valid_host_name(input.domain));
    if (!input.addresses.empty() && !usable)
        return fail(ErrorKind::invalid, "invalid hostname \"{}\"", input.hostname);
    for (const auto& address : input.addresses) text += host_line(address, names);
    return text;
}

}  // namespace corten::network
