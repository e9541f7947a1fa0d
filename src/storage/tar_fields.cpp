#include "tar_fields.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>

namespace corten::storage::tar_fields {

std::string_view text_of(const char* block, Field field) {
    const std::string_view bytes = bytes_of(block, field);
    return bytes.substr(0, bytes.find('\0'));
}

namespace {

Result<std::int64_t> base256(std::string_view bytes) {
    const bool negative = bytes[0] & 0x40;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        std::uint8_t byte = static_cast<std::uint8_t>(bytes[i]);
        if (negative) byte = static_cast<std::uint8_t>(~byte);
        if (i == 0) byte &= 0x7f;
        if (value >> 56) return fail(ErrorKind::corrupt, "number is too big");
        value = value << 8 | byte;
    }
    if (value >> 63) return fail(ErrorKind::corrupt, "number is too big");
    const auto number = static_cast<std::int64_t>(value);
    return negative ? ~number : number;
}

}  // namespace

Result<std::int64_t> number(std::string_view bytes) {
    if (!bytes.empty() && (bytes[0] & 0x80)) return base256(bytes);
    constexpr std::string_view blank(" \0", 2);
    const auto first = bytes.find_first_not_of(blank);
    if (first == std::string_view::npos) return std::int64_t{0};
    bytes.remove_prefix(first);
    bytes = bytes.substr(0, bytes.find_first_of(blank));
    std::int64_t value = 0;
    const auto [end, code] = std::from_chars(bytes.begin(), bytes.end(), value, 8);
    if (code != std::errc() || end != bytes.end() || value < 0)
        return fail(ErrorKind::corrupt, "bad number");
    return value;
}

Result<std::int64_t> number_of(const char* block, Field field) {
    return number(bytes_of(block, field));
}

bool is_zero(const char* block) {
    return block[0] == 0 && std::memcmp(block, block + 1, block_size - 1) == 0;
}

/// The eight bytes of the checksum itself count as spaces.
constexpr std::uint16_t counted_spaces = 8U * ' ';

std::uint64_t computed_checksum(const char* block) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < block_size; ++i) sum += static_cast<std::uint8_t>(block[i]);
    for (const char c : bytes_of(block, header::checksum)) sum -= static_cast<std::uint8_t>(c);
    return sum + counted_spaces;
}

bool checksum_matches(const char* block) {
    const auto stored = number_of(block, header::checksum);
    if (!stored) return false;
    if (static_cast<std::uint64_t>(*stored) == computed_checksum(block)) return true;
    // Some old programs summed signed bytes.
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < block_size; ++i) sum += static_cast<signed char>(block[i]);
    for (const char c : bytes_of(block, header::checksum)) sum -= static_cast<signed char>(c);
    return *stored == sum + counted_spaces;
}

std::optional<std::string_view> Extensions::find(std::string_view key) const {
    const auto found = records.find(key);
    if (found == records.end()) return std::nullopt;
    return found->second;
}

namespace {

constexpr std::string_view xattr_prefix = "SCHILY.xattr.";

void set_xattr(Extensions& out, std::string_view name, std::string_view value) {
    const auto same = [&](const auto& pair) { return pair.first == name; };
    std::erase_if(out.xattrs, same);
    out.xattrs.emplace_back(name, value);
}

Result<void> add_record(std::string_view key, std::string_view value, Extensions& out) {
    if (key.empty() || key.find('\0') != std::string_view::npos)
        return fail(ErrorKind::corrupt, "bad pax record name");
    if (key.starts_with(xattr_prefix)) {
        set_xattr(out, key.substr(xattr_prefix.size()), value);
    } else if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
        const bool is_offset = key == "GNU.sparse.offset";
        if (is_offset != (out.sparse_pairs.size() % 2 == 0))
            return fail(ErrorKind::corrupt, "bad sparse map");
        out.sparse_pairs.emplace_back(value);
    } else if (value.empty()) {
        if (const auto found = out.records.find(key); found != out.records.end())
            out.records.erase(found);
    } else if (value.find('\0') != std::string_view::npos) {
        return fail(ErrorKind::corrupt, "pax record {} has a NUL in it", key);
    } else {
        out.records.insert_or_assign(std::string(key), std::string(value));
    }
    return {};
}

}  // namespace

Result<void> parse_pax(std::string_view text, Extensions& out) {
    while (!text.empty()) {
        const auto bad = [] { return fail(ErrorKind::corrupt, "bad pax record"); };
        std::size_t length = 0;
        const auto [end, code] = std::from_chars(text.begin(), text.end(), length);
        if (code != std::errc() || end == text.end() || *end != ' ' || length > text.size())
            return bad();
        const auto start = static_cast<std::size_t>(end - text.begin()) + 1;
        if (length < start + 2 || text[length - 1] != '\n') return bad();
        const std::string_view record = text.substr(start, length - start - 1);
        const auto equals = record.find('=');
        if (equals == std::string_view::npos) return bad();
        TRY(add_record(record.substr(0, equals), record.substr(equals + 1), out));
        text.remove_prefix(length);
    }
    return {};
}

Result<std::uint64_t> parse_unsigned(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, code] = std::from_chars(text.begin(), text.end(), value);
    if (code != std::errc() || end != text.end() || text.empty() ||
        value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return fail(ErrorKind::corrupt, "bad number");
    return value;
}

Result<timespec> parse_pax_time(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative) text.remove_prefix(1);
    const auto dot = text.find('.');
    const std::uint64_t seconds = TRY(parse_unsigned(text.substr(0, dot)));
    std::string digits(dot == std::string_view::npos ? "" : text.substr(dot + 1));
    if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
        return fail(ErrorKind::corrupt, "bad time");
    digits.resize(9, '0');
    long nanoseconds = 0;
    std::from_chars(digits.data(), digits.data() + 9, nanoseconds);
    timespec time{static_cast<time_t>(seconds), nanoseconds};
    if (!negative) return time;
    if (nanoseconds == 0) return timespec{-time.tv_sec, 0};
    return timespec{-time.tv_sec - 1, 1'000'000'000 - nanoseconds};
}

void append_pax(std::string& out, std::string_view key, std::string_view value) {
    const std::size_t rest = key.size() + value.size() + 3;  // ' ', '=', '\n'
    std::size_t length = rest;
    // The length counts its own digits.
    while (length != rest + std::to_string(length).size())
        length = rest + std::to_string(length).size();
    fmt::format_to(std::back_inserter(out), "{} {}=", length, key);
    out.append(value);
    out += '\n';
}

}  // namespace corten::storage::tar_fields
