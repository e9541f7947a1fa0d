#pragma once
// The key sequence that leaves an attached terminal without ending it.
#include <base/result.hpp>

#include <string>
#include <string_view>

namespace corten::proto {

/// What is used when a request names no keys: ctrl-p,ctrl-q.
inline constexpr std::string_view default_detach_keys = "\x10\x11";

/// "ctrl-p,ctrl-q", "ctrl-@,a" ... to the bytes a terminal sends for them: single characters, and
/// ctrl- with a letter or one of @ [ \ ] ^ _. "DEL" is 127. Empty text gives no keys.
Result<std::string> parse_detach_keys(std::string_view text);

/// Finds the sequence in a stream of input. Bytes that may begin it are held back until it is
/// clear that they do not.
class DetachMatcher {
public:
    explicit DetachMatcher(std::string keys) : keys_(std::move(keys)) {}

    /// Appends to `out` what belongs to the program. True when the sequence is complete: what
    /// follows it in `bytes` is dropped, as nobody is attached any more.
    bool feed(std::string_view bytes, std::string& out);

private:
    std::string keys_;
    std::string held_;
};

}  // namespace corten::proto
