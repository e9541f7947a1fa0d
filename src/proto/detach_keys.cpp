#include <base/text.hpp>
#include <proto/detach_keys.hpp>

namespace corten::proto {

namespace {

constexpr std::string_view control_prefix = "ctrl-";
constexpr std::string_view control_marks = "@[\\]^_";

Result<char> parse_key(std::string_view key) {
    if (key.size() == 1) return key.front();
    if (key == "DEL") return '\x7f';
    if (key.size() == control_prefix.size() + 1 && key.starts_with(control_prefix)) {
        const char letter = key.back();
        if (letter >= 'a' && letter <= 'z') return static_cast<char>(letter - 'a' + 1);
        if (letter == '@') return '\0';
        const auto mark = control_marks.find(letter);
        if (mark != std::string_view::npos) return static_cast<char>(26 + mark);
    }
    return fail(ErrorKind::invalid, "Unknown character: '{}'", key);
}

}  // namespace

Result<std::string> parse_detach_keys(std::string_view text) {
    std::string keys;
    if (text.empty()) return keys;
    for (const auto& key : split(text, ',')) {
        auto parsed = parse_key(key);
        keys += TRY(std::move(parsed).context("invalid detach keys"));
    }
    return keys;
}

bool DetachMatcher::feed(std::string_view bytes, std::string& out) {
    if (keys_.empty()) {
        out.append(bytes);
        return false;
    }
    for (const char byte : bytes) {
        held_ += byte;
        // The longest tail of what was held that still begins the sequence stays.
        while (!keys_.starts_with(held_)) {
            out += held_.front();
            held_.erase(0, 1);
        }
        if (held_.size() == keys_.size()) {
            held_.clear();
            return true;
        }
    }
    return false;
}

}  // namespace corten::proto
