#include <base/text.hpp>
#include <http/client.hpp>

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace corten::http {

namespace {

struct Address {
    std::array<std::uint8_t, 16> bytes{};
    std::size_t size = 0;  ///< 4, 16, or 0 for no address
};

Address parse_address(const std::string& text) {
    Address address;
    if (::inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1)
        address.size = 4;
    else if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1)
        address.size = 16;
    return address;
}

bool in_block(const Address& address, const std::string& block) {
    const auto [base_text, bits_text] = split_once(block, '/');
    const Address base = parse_address(std::string(base_text));
    const auto bits = parse_integer(bits_text, "prefix length");
    if (!bits.has_value() || address.size == 0 || base.size != address.size) return false;
    if (*bits < 0 || *bits > static_cast<std::int64_t>(8 * base.size)) return false;
    for (std::size_t i = 0; i < static_cast<std::size_t>(*bits); ++i) {
        const int mask = 0x80 >> (i % 8);
        if ((address.bytes[i / 8] & mask) != (base.bytes[i / 8] & mask)) return false;
    }
    return true;
}

bool matches(const Url& url, std::string entry) {
    entry = to_lower(trim(entry));
    if (entry.empty()) return false;
    if (entry == "*") return true;
    const std::string host = to_lower(url.host);
    if (entry.find('/') != std::string::npos) return in_block(parse_address(host), entry);
    const auto [name, port] = split_once(entry, ':');
    if (!port.empty() && port.find(':') == std::string_view::npos) {
        if (port != url.port) return false;
        entry = name;
    }
    if (entry.starts_with("*.")) entry.erase(0, 1);
    if (entry.starts_with('.')) return host.ends_with(entry);
    return host == entry || host.ends_with("." + entry);
}

bool is_loopback(const Url& url) {
    return url.host == "localhost" || url.host.starts_with("127.") || url.host == "::1";
}

}  // namespace

std::string proxy_for(const Url& url,
                      const std::function<std::string(const std::string&)>& lookup) {
    const auto value = [&](std::string name) {
        auto found = lookup(name);
        if (!found.empty()) return found;
        for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
        return lookup(name);
    };
    std::string proxy = value(url.scheme == "https" ? "https_proxy" : "http_proxy");
    // Go never asks a proxy for the machine itself, and daemons are configured with that in mind.
    if (proxy.empty() || is_loopback(url)) return "";
    for (const auto& entry : split(value("no_proxy"), ','))
        if (matches(url, entry)) return "";
    return proxy;
}

}  // namespace corten::http
