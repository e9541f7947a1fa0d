#pragma once
// IPv4 addresses, subnets and MAC addresses as values.
#include <base/result.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace corten::network {

/// An IPv4 address; `value` is in host byte order, so that addresses count up.
struct Ipv4 {
    std::uint32_t value = 0;

    /// Four decimal parts, no leading zeros (they are octal to some programs).
    static Result<Ipv4> parse(std::string_view text);
    std::string text() const;
    std::uint32_t big_endian() const;
    bool is_loopback() const { return value >> 24 == 127; }
    bool is_any() const { return value == 0; }
    auto operator<=>(const Ipv4&) const = default;
};

/// An address with its network: 172.17.42.1/16 keeps the 42.1.
struct Subnet {
    Ipv4 address;
    unsigned prefix = 0;

    static Result<Subnet> parse(std::string_view text);
    std::string text() const;
    std::uint32_t mask() const { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }
    /// The network itself: 172.17.0.0/16.
    Subnet network() const { return {Ipv4{address.value & mask()}, prefix}; }
    Ipv4 first() const { return Ipv4{address.value & mask()}; }
    Ipv4 last() const { return Ipv4{address.value | ~mask()}; }
    bool contains(Ipv4 other) const { return (other.value & mask()) == (address.value & mask()); }
    bool overlaps(const Subnet& other) const {
        return contains(other.first()) || other.contains(first());
    }
    bool operator==(const Subnet&) const = default;
};

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    static Result<MacAddress> parse(std::string_view text);
    /// 02:42 and the address: the same address always has the same MAC, so that no neighbour's ARP
    /// table is wrong after an address went to another container.
    static MacAddress from(Ipv4 address);
    std::string text() const;
    bool operator==(const MacAddress&) const = default;
};

}  // namespace corten::network
