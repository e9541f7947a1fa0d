#include <base/text.hpp>
#include <network/address.hpp>

#include <endian.h>

#include <charconv>

namespace corten::network {

namespace {

/// A whole number in `text`, in the given base, up to `limit`; no sign, no spaces.
std::optional<unsigned> number(std::string_view text, int base, unsigned limit) {
    unsigned value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (code != std::errc() || end != text.data() + text.size() || text.empty() || value > limit)
        return std::nullopt;
    return value;
}

}  // namespace

Result<Ipv4> Ipv4::parse(std::string_view text) {
    const auto parts = split(text, '.');
    Ipv4 out;
    for (const auto& part : parts) {
        const auto value = number(part, 10, 255);
        const bool padded = part.size() > 1 && part.front() == '0';
        if (parts.size() != 4 || !value || padded)
            return fail(ErrorKind::invalid, "invalid IP address \"{}\"", text);
        out.value = out.value << 8 | *value;
    }
    return out;
}

std::string Ipv4::text() const {
    return fmt::format("{}.{}.{}.{}", value >> 24, value >> 16 & 255, value >> 8 & 255,
                       value & 255);
}

std::uint32_t Ipv4::big_endian() const {
    return htobe32(value);
}

Result<Subnet> Subnet::parse(std::string_view text) {
    const auto [address, prefix] = split_once(text, '/');
    const auto bits = number(prefix, 10, 32);
    if (!bits) return fail(ErrorKind::invalid, "invalid CIDR address: {}", text);
    return Subnet{TRY(Ipv4::parse(address)), *bits};
}

std::string Subnet::text() const {
    return fmt::format("{}/{}", address.text(), prefix);
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
    const auto parts = split(text, text.find('-') == std::string_view::npos ? ':' : '-');
    MacAddress out;
    const auto wrong = [&] {
        return fail(ErrorKind::invalid, "{} is not a valid mac address", text);
    };
    if (parts.size() != out.bytes.size()) return wrong();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const auto value = number(parts[i], 16, 255);
        if (!value || parts[i].size() != 2) return wrong();
        out.bytes[i] = static_cast<std::uint8_t>(*value);
    }
    return out;
}

MacAddress MacAddress::from(Ipv4 address) {
    const auto byte = [&](unsigned shift) {
        return static_cast<std::uint8_t>(address.value >> shift & 255);
    };
    return {{0x02, 0x42, byte(24), byte(16), byte(8), byte(0)}};
}

std::string MacAddress::text() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                       bytes[3], bytes[4], bytes[5]);
}

}  // namespace corten::network
