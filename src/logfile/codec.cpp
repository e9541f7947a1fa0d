#include <base/json.hpp>
#include <base/text.hpp>

#include <logfile/codec.hpp>

#include <array>
#include <cstring>

namespace corten::logfile {

namespace {

constexpr std::array<bool, 256> make_plain_table() {
    std::array<bool, 256> plain{};
    for (std::size_t byte = 0x20; byte < 0x80; ++byte) plain[byte] = true;
    for (const unsigned char special : {'"', '\\', '<', '>', '&'}) plain[special] = false;
    return plain;
}
constexpr auto is_plain = make_plain_table();

/// Without a branch per byte, so that the compiler makes vector code of it.
bool block_is_plain(const unsigned char* bytes) {
    unsigned char special = 0;
    for (std::size_t i = 0; i < 32; ++i) {
        const unsigned char byte = bytes[i];
        special |= static_cast<unsigned char>((byte < 0x20) | (byte >= 0x80) | (byte == '"') |
                                              (byte == '\\') | (byte == '<') | (byte == '>') |
                                              (byte == '&'));
    }
    return special == 0;
}

std::size_t plain_length(std::string_view text) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t length = 0;
    while (length + 32 <= text.size() && block_is_plain(bytes + length)) length += 32;
    while (length < text.size() && is_plain[bytes[length]]) ++length;
    return length;
}

/// How many bytes a character beginning with `lead` takes; 0 when nothing valid begins so.
std::size_t sequence_length(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return 2;
    if (lead < 0xf0) return 3;
    return lead < 0xf5 ? 4 : 0;
}

bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

/// Length of the valid UTF-8 character at the front (RFC 3629: no surrogates, no overlong forms,
/// nothing above U+10FFFF), or 0.
std::size_t character_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = sequence_length(lead);
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if (!is_continuation(text[i])) return 0;
    if (length < 3) return length;
    const auto second = static_cast<unsigned char>(text[1]);
    const bool bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) ||
                     (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f);
    return bad ? 0 : length;
}

void append_code(std::string& out, unsigned char byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    out += "\\u00";
    out += digits[byte >> 4];
    out += digits[byte & 15];
}

void append_special_ascii(std::string& out, char byte) {
    switch (byte) {
        case '"':
            out += "\\\"";
            break;
        case '\\':
            out += "\\\\";
            break;
        case '\n':
            out += "\\n";
            break;
        case '\r':
            out += "\\r";
            break;
        default:
            append_code(out, static_cast<unsigned char>(byte));
    }
}

/// Appends what is not ASCII; gives how many bytes it was.
std::size_t append_wide(std::string& out, std::string_view text) {
    const std::size_t length = character_length(text);
    const std::string_view character = text.substr(0, length);
    if (length == 0)
        out += "\\ufffd";
    else if (character == "\u2028")
        out += "\\u2028";
    else if (character == "\u2029")
        out += "\\u2029";
    else
        out += character;
    return length == 0 ? 1 : length;
}

}  // namespace

std::string_view to_string(Stream stream) {
    return stream == Stream::out ? "stdout" : "stderr";
}

void append_escaped(std::string& out, std::string_view text) {
    while (!text.empty()) {
        const std::size_t plain = plain_length(text);
        out.append(text, 0, plain);
        text.remove_prefix(plain);
        if (text.empty()) return;
        if (static_cast<unsigned char>(text.front()) < 0x80) {
            append_special_ascii(out, text.front());
            text.remove_prefix(1);
        } else {
            text.remove_prefix(append_wide(out, text));
        }
    }
}

std::string line_end(Stream stream, std::string_view attrs, WallTime time) {
    std::string end = "\",\"stream\":\"";
    end += to_string(stream);
    end += '"';
    if (!attrs.empty()) (end += ",\"attrs\":") += attrs;
    ((end += ",\"time\":\"") += rfc3339(time)) += "\"}\n";
    return end;
}

void append_line(std::string& out, std::string_view text, std::string_view end) {
    out += "{\"log\":\"";
    append_escaped(out, text);
    out += end;
}

std::size_t cut_length(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text.size();
    for (std::size_t back = 1; back <= 3 && back < limit; ++back) {
        const std::string_view tail = text.substr(limit - back);
        if (is_continuation(tail.front())) continue;
        const bool crosses = sequence_length(static_cast<unsigned char>(tail.front())) > back;
        return crosses ? limit - back : limit;
    }
    return limit;
}

// ---- reading --------------------------------------------------------------------------------

namespace {

void append_utf8(std::string& out, std::uint32_t code) {
    const auto byte = [&out](std::uint32_t value) { out += static_cast<char>(value); };
    if (code < 0x80) return byte(code);
    if (code < 0x800) {
        byte(0xc0 | code >> 6);
        return byte(0x80 | (code & 0x3f));
    }
    byte(0xe0 | code >> 12);
    byte(0x80 | (code >> 6 & 0x3f));
    byte(0x80 | (code & 0x3f));
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/// The four digits after "\u" of what append_escaped() writes; surrogates are left to the general
/// parser.
bool unescape_code(std::string_view digits, std::string& out) {
    if (digits.size() < 4) return false;
    std::uint32_t code = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const int digit = hex_digit(digits[i]);
        if (digit < 0) return false;
        code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    if (code >= 0xd800 && code < 0xe000) return false;
    append_utf8(out, code);
    return true;
}

/// `text` begins after a backslash; gives how many bytes the escape had, 0 for an unknown one.
std::size_t unescape_one(std::string_view text, std::string& out) {
    if (text.empty()) return 0;
    switch (text.front()) {
        case 'n':
            out += '\n';
            return 1;
        case 'r':
            out += '\r';
            return 1;
        case 't':
            out += '\t';
            return 1;
        case '"':
        case '\\':
        case '/':
            out += text.front();
            return 1;
        case 'u':
            return unescape_code(text.substr(1), out) ? 5 : 0;
        default:
            return 0;
    }
}

/// Reads a JSON string's inside up to its closing quote, which is taken too.
bool take_string(std::string_view& text, std::string& out) {
    out.clear();
    for (;;) {
        const auto* begin = text.data();
        const auto* quote = static_cast<const char*>(std::memchr(begin, '"', text.size()));
        if (!quote) return false;
        const std::string_view run(begin, static_cast<std::size_t>(quote - begin));
        const auto* slash = static_cast<const char*>(std::memchr(begin, '\\', run.size()));
        if (!slash) {
            out += run;
            text.remove_prefix(run.size() + 1);
            return true;
        }
        const auto plain = static_cast<std::size_t>(slash - begin);
        out.append(text, 0, plain);
        text.remove_prefix(plain + 1);
        const std::size_t used = unescape_one(text, out);
        if (used == 0) return false;
        text.remove_prefix(used);
    }
}

bool take(std::string_view& text, std::string_view wanted) {
    if (!text.starts_with(wanted)) return false;
    text.remove_prefix(wanted.size());
    return true;
}

std::optional<Stream> take_stream(std::string_view& text) {
    if (take(text, ",\"stream\":\"stdout\"")) return Stream::out;
    if (take(text, ",\"stream\":\"stderr\"")) return Stream::err;
    return {};
}

/// The time is last and has a known beginning, which a value in attrs cannot contain unescaped...
/// unless attrs has a member "time" of its own: the last one counts.
bool take_attrs(std::string_view& text, std::string& attrs) {
    attrs.clear();
    if (!take(text, ",\"attrs\":")) return true;
    const auto end = text.rfind(",\"time\":\"");
    if (end == std::string_view::npos) return false;
    attrs = text.substr(0, end);
    text.remove_prefix(end);
    return true;
}

struct ForeignLine {
    std::string log;
    std::string stream;
    std::string time;
    Json attrs;
    static constexpr void fields(auto visit) {
        visit(field("log", &ForeignLine::log), field("stream", &ForeignLine::stream),
              field("time", &ForeignLine::time), field("attrs", &ForeignLine::attrs));
    }
};

}  // namespace

Result<WallTime> Decoder::decode_time(std::string_view text) {
    constexpr std::size_t seconds_length = std::string_view("2026-01-02T03:04:05").size();
    const std::string_view second = text.substr(0, seconds_length);
    if (second.size() < seconds_length || text.back() != 'Z') return parse_rfc3339(text);
    if (second != second_text_) {
        second_ = TRY(parse_rfc3339(std::string(second) + "Z"));
        second_text_ = second;
    }
    if (text.size() <= seconds_length + 2) return second_;
    std::int64_t nanoseconds = 0;
    std::int64_t unit = 100'000'000;
    for (const char c : text.substr(seconds_length + 1, text.size() - seconds_length - 2)) {
        if (c < '0' || c > '9' || text[seconds_length] != '.') return parse_rfc3339(text);
        nanoseconds += (c - '0') * unit;
        unit /= 10;
    }
    return second_ + std::chrono::nanoseconds(nanoseconds);
}

Result<bool> Decoder::decode_own_form(std::string_view line, Entry& entry) {
    if (!take(line, "{\"log\":\"") || !take_string(line, entry.text)) return false;
    const auto stream = take_stream(line);
    if (!stream || !take_attrs(line, entry.attrs) || !take(line, ",\"time\":\"")) return false;
    if (!line.ends_with("\"}") || line.find('"') != line.size() - 2) return false;
    entry.stream = *stream;
    entry.time = TRY(decode_time(line.substr(0, line.size() - 2)));
    return true;
}

Result<void> Decoder::decode_any_form(std::string_view line, Entry& entry) {
    ForeignLine parsed = TRY(parse_as<ForeignLine>(line, "log line"));
    entry.text = std::move(parsed.log);
    entry.stream = parsed.stream == "stderr" ? Stream::err : Stream::out;
    entry.time = TRY(parse_rfc3339(parsed.time));
    entry.attrs = parsed.attrs.is_object() ? dump_json(parsed.attrs) : "";
    return {};
}

Result<void> Decoder::decode(std::string_view line, Entry& entry) {
    if (TRY(decode_own_form(line, entry))) return {};
    auto decoded = decode_any_form(line, entry);
    if (!decoded) return std::move(decoded).error().with_kind(ErrorKind::corrupt);
    return {};
}

}  // namespace corten::logfile
