#pragma once
// One line of Docker's json-file log, the format's single owner:
//
//   {"log":"text\n","stream":"stdout","attrs":{...},"time":"2026-01-02T03:04:05.6Z"}
//
// Escaped as Docker does it: < > & and all control bytes but \n and \r as \u00xx, U+2028 and U+2029
// as \u2028 and \u2029, and each byte that is not UTF-8 becomes \ufffd.
#include <base/clock.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace corten::logfile {

enum class Stream : std::uint8_t { out = 1, err = 2 };
std::string_view to_string(Stream stream);

/// Longer lines are cut into parts of at most this many bytes; only the last ends in "\n".
inline constexpr std::size_t longest_part = 16384;

struct Entry {
    Stream stream = Stream::out;
    std::string text;
    WallTime time;
    std::string attrs;  ///< a JSON object, or empty
};

/// Appends `text` as the inside of a JSON string.
void append_escaped(std::string& out, std::string_view text);

/// What follows the text in a line, the line feed included. The same for all lines of a batch.
std::string line_end(Stream stream, std::string_view attrs, WallTime time);
void append_line(std::string& out, std::string_view text, std::string_view line_end);

/// Decodes lines. Keeps the last second it parsed, as neighbours share it.
class Decoder {
public:
    /// `line` without its line feed; corrupt when it is no log line. Fills `entry` in place, so
    /// that its memory serves many lines.
    Result<void> decode(std::string_view line, Entry& entry);

private:
    Result<WallTime> decode_time(std::string_view text);
    Result<bool> decode_own_form(std::string_view line, Entry& entry);
    Result<void> decode_any_form(std::string_view line, Entry& entry);

    std::string second_text_;
    WallTime second_;
};

/// The largest length up to `limit` at which `text` can be cut without cutting a character in two.
/// Text that is not UTF-8 is cut at the limit.
std::size_t cut_length(std::string_view text, std::size_t limit);

}  // namespace corten::logfile
