#include <base/text.hpp>
#include <image/endpoints.hpp>
#include <image/reference.hpp>

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>

namespace corten::image {

namespace {

constexpr std::string_view hub_host = "registry-1.docker.io";

/// An address in IPv6 form; IPv4 is mapped, so that one comparison serves both.
struct Address {
    std::array<unsigned char, 16> bytes{};
};

Address mapped(const in_addr& address) {
    Address result;
    result.bytes[10] = result.bytes[11] = 0xff;
    std::memcpy(result.bytes.data() + 12, &address, 4);
    return result;
}

std::optional<Address> parse_address(const std::string& text) {
    in_addr v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return mapped(v4);
    Address result;
    if (::inet_pton(AF_INET6, text.c_str(), result.bytes.data()) == 1) return result;
    return std::nullopt;
}

struct Range {
    Address base;
    int bits = 128;

    bool contains(const Address& address) const {
        const auto whole = static_cast<std::size_t>(bits / 8);
        if (std::memcmp(base.bytes.data(), address.bytes.data(), whole) != 0) return false;
        if (bits % 8 == 0) return true;
        const int mask = 0xff << (8 - bits % 8);
        return ((base.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
    }
};

std::optional<Range> parse_range(std::string_view text) {
    const auto [base, length] = split_once(text, '/');
    const auto address = parse_address(std::string(base));
    const auto bits = parse_integer(length, "prefix length");
    if (!address || !bits) return std::nullopt;
    const bool v4 = base.contains('.') && !base.contains(':');
    const std::int64_t all = v4 ? *bits + 96 : *bits;
    if (*bits < 0 || all > 128) return std::nullopt;
    return Range{*address, static_cast<int>(all)};
}

std::string host_without_port(std::string_view domain) {
    if (domain.starts_with('[')) return std::string(domain.substr(1, domain.find(']') - 1));
    return std::string(split_once(domain, ':').first);
}

std::vector<Address> resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    if (::getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {};
    std::vector<Address> found;
    for (const addrinfo* entry = list; entry; entry = entry->ai_next) {
        if (entry->ai_family == AF_INET)
            found.push_back(mapped(reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr));
        if (entry->ai_family != AF_INET6) continue;
        Address address;
        std::memcpy(address.bytes.data(),
                    &reinterpret_cast<const sockaddr_in6*>(entry->ai_addr)->sin6_addr, 16);
        found.push_back(address);
    }
    ::freeaddrinfo(list);
    return found;
}

bool is_loopback(const Address& address) {
    return Range{*parse_address("127.0.0.0"), 104}.contains(address) ||
           Range{*parse_address("::1"), 128}.contains(address);
}

bool in_ranges(const std::string& host, const std::vector<Range>& ranges) {
    const auto literal = parse_address(host);
    if (!literal && ranges.empty()) return false;
    const auto addresses = literal ? std::vector{*literal} : resolve(host);
    return std::ranges::any_of(addresses, [&](const Address& address) {
        return is_loopback(address) ||
               std::ranges::any_of(ranges, [&](const Range& r) { return r.contains(address); });
    });
}

std::optional<Endpoint> mirror_endpoint(std::string_view url, const RegistryConfig& config) {
    Endpoint endpoint{.scheme = "https", .mirror = true};
    if (const std::size_t mark = url.find("://"); mark != url.npos) {
        endpoint.scheme = url.substr(0, mark);
        url.remove_prefix(mark + 3);
    }
    if (endpoint.scheme != "https" && endpoint.scheme != "http") return std::nullopt;
    const auto [host, path] = split_once(url, '/');
    if (host.empty()) return std::nullopt;
    endpoint.host = host;
    if (!path.empty()) endpoint.prefix = "/" + std::string(path);
    while (endpoint.prefix.ends_with('/')) endpoint.prefix.pop_back();
    endpoint.verify = !is_insecure(endpoint.host, config.insecure);
    return endpoint;
}

}  // namespace

bool is_insecure(std::string_view domain, const std::vector<std::string>& insecure) {
    const std::string host = host_without_port(domain);
    if (host == "localhost") return true;
    std::vector<Range> ranges;
    for (const auto& entry : insecure) {
        if (entry == domain || entry == host) return true;
        if (const auto range = parse_range(entry)) ranges.push_back(*range);
    }
    return in_ranges(host, ranges);
}

std::vector<Endpoint> endpoints_of(std::string_view domain, const RegistryConfig& config) {
    std::vector<Endpoint> endpoints;
    if (domain == default_domain) {
        for (const auto& url : config.mirrors)
            if (auto mirror = mirror_endpoint(url, config)) endpoints.push_back(std::move(*mirror));
        endpoints.push_back({.scheme = "https", .host = std::string(hub_host)});
        return endpoints;
    }
    const bool insecure = is_insecure(domain, config.insecure);
    endpoints.push_back({.scheme = "https", .host = std::string(domain), .verify = !insecure});
    if (insecure)
        endpoints.push_back({.scheme = "http", .host = std::string(domain), .verify = false});
    return endpoints;
}

}  // namespace corten::image
