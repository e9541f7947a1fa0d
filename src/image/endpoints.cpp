#include <base/text.hpp>
#include <image/endpoints.hpp>
#include <image/reference.hpp>

#include <arpa/inet.h>
#include <netdb.h>

#include <cstring>
#include <tuple>

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

/// A host has many names: the case of letters, the port that is meant anyway, and Docker Hub's own.
std::string usual_host(std::string_view host) {
    std::string usual = to_lower(host);
    constexpr std::string_view https = ":443";
    if (usual.ends_with(https)) usual.resize(usual.size() - https.size());
    if (usual == "index.docker.io" || usual == hub_host) return std::string(default_domain);
    return usual;
}

/// "HOST/PATH" with the usual name of the host.
std::string usual_name(std::string_view name) {
    const std::size_t slash = std::min(name.find('/'), name.size());
    return usual_host(name.substr(0, slash)).append(name.substr(slash));
}

/// What of `name` ("HOST/PATH", a usual one) the pattern leaves over; nullopt when it does not
/// match.
std::optional<std::string_view> rest_after(std::string_view pattern, std::string_view name) {
    const std::string usual = usual_name(pattern);
    if (usual.starts_with("*.")) {
        const std::string_view host = name.substr(0, name.find('/'));
        if (!host_without_port(host).ends_with(usual.substr(1))) return {};
        return name.substr(host.size());
    }
    if (!name.starts_with(usual)) return {};
    const std::string_view rest = name.substr(usual.size());
    if (!rest.empty() && rest.front() != '/') return {};
    return rest;
}

std::string name_of(const Reference& repository) {
    return usual_name(repository.path.empty() ? repository.domain : repository.name());
}

std::optional<Endpoint> endpoint_at(const Mirror& mirror, const Reference& repository,
                                    const RegistryConfig& config) {
    const std::string name = name_of(repository);
    const auto matched = rest_after(mirror.names, name);
    if (!matched) return std::nullopt;
    std::string_view rest = *matched;
    if (mirror.path.empty() && rest.starts_with('/')) rest.remove_prefix(1);
    return Endpoint{.scheme = mirror.scheme,
                    .host = mirror.host,
                    .path = fmt::format("{}{}", mirror.path, rest),
                    .verify = !is_insecure(mirror.host, config.insecure),
                    .mirror = true};
}

}  // namespace

bool is_insecure(std::string_view domain, const std::vector<std::string>& insecure) {
    const std::string host = host_without_port(domain);
    if (host == "localhost") return true;
    std::vector<Range> ranges;
    for (const auto& entry : insecure) {
        if (entry == domain) return true;
        if (const auto range = parse_range(entry)) ranges.push_back(*range);
    }
    return in_ranges(host, ranges);
}

Result<Mirror> parse_mirror(std::string_view names, std::string_view url) {
    Mirror mirror{.names = std::string(names), .scheme = "https", .host = {}, .path = {}};
    std::string_view address = url;
    if (const std::size_t mark = url.find("://"); mark != url.npos) {
        mirror.scheme = url.substr(0, mark);
        address = url.substr(mark + 3);
    }
    std::tie(mirror.host, mirror.path) = split_once(address, '/');
    while (mirror.path.ends_with('/')) mirror.path.pop_back();
    const bool spoken = mirror.scheme == "https" || mirror.scheme == "http";
    if (names.empty() || !spoken || mirror.host.empty() ||
        address.find_first_of("?#@ ") != address.npos)
        return fail(ErrorKind::invalid,
                    "mirror \"{}\" of \"{}\": wanted http[s]://HOST[:PORT][/PATH] for a registry "
                    "or a part of one",
                    url, names);
    return mirror;
}

std::vector<Endpoint> endpoints_of(const Reference& repository, const RegistryConfig& config) {
    std::vector<Endpoint> endpoints;
    for (const Mirror& mirror : config.mirrors)
        if (auto found = endpoint_at(mirror, repository, config))
            endpoints.push_back(*std::move(found));
    const bool hub = repository.domain == default_domain;
    const std::string host(hub ? hub_host : repository.domain);
    const bool insecure = !hub && is_insecure(host, config.insecure);
    endpoints.push_back(
        {.scheme = "https", .host = host, .path = repository.path, .verify = !insecure});
    if (insecure)
        endpoints.push_back(
            {.scheme = "http", .host = host, .path = repository.path, .verify = false});
    return endpoints;
}

Result<void> check_allowed(const Reference& repository, const RegistryConfig& config) {
    const std::string name = name_of(repository);
    for (const std::string& pattern : config.blocked)
        if (rest_after(pattern, name))
            return fail(ErrorKind::forbidden, "{} may not be used: the daemon blocks {}", name,
                        pattern);
    const auto allows = [&](const std::string& pattern) {
        // Of a registry of which a part is allowed, the registry as such is, too.
        return rest_after(pattern, name) ||
               (repository.path.empty() && rest_after(name, usual_name(pattern)));
    };
    if (config.allowed.empty() || std::ranges::any_of(config.allowed, allows)) return {};
    return fail(ErrorKind::forbidden, "{} may not be used: the daemon allows only {}", name,
                fmt::join(config.allowed, ", "));
}

}  // namespace corten::image
