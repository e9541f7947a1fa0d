#include "sha1.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace corten::http {

namespace {

using Words = std::array<std::uint32_t, 5>;

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        out += static_cast<char>(value >> shift & 0xff);
}

std::string padded(std::string_view text) {
    std::string out(text);
    out += static_cast<char>(0x80);
    out.resize((out.size() + 8 + 63) / 64 * 64 - 8, '\0');
    append_big_endian(out, text.size() * 8, 8);
    return out;
}

std::array<std::uint32_t, 80> schedule(std::string_view block) {
    std::array<std::uint32_t, 80> w{};
    for (std::size_t i = 0; i < 64; ++i)
        w[i / 4] = w[i / 4] << 8 | static_cast<unsigned char>(block[i]);
    for (std::size_t t = 16; t < 80; ++t)
        w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    return w;
}

std::uint32_t mixed(std::size_t t, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    if (t < 20) return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40) return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

void add_block(Words& sum, std::string_view block) {
    const auto w = schedule(block);
    auto [a, b, c, d, e] = sum;
    for (std::size_t t = 0; t < 80; ++t) {
        const std::uint32_t next = std::rotl(a, 5) + mixed(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = next;
    }
    const Words more{a, b, c, d, e};
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
}

}  // namespace

std::string sha1(std::string_view text) {
    Words sum{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const std::string message = padded(text);
    for (std::size_t at = 0; at < message.size(); at += 64)
        add_block(sum, std::string_view(message).substr(at, 64));
    std::string out;
    for (const std::uint32_t word : sum) append_big_endian(out, word, 4);
    return out;
}

}  // namespace corten::http
