#include "terminal.hpp"

#include <base/text.hpp>
#include <sys/ioctl.h>

#include <unistd.h>

namespace corten::cli {

bool is_terminal(FdView fd) {
    return ::isatty(fd.raw()) == 1;
}

WindowSize window_size() {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return {};
    return {.height = size.ws_row, .width = size.ws_col};
}

Result<RawMode> RawMode::enter() {
    termios saved{};
    if (::tcgetattr(STDIN_FILENO, &saved) != 0) return RawMode(std::nullopt);
    termios raw = saved;
    ::cfmakeraw(&raw);
    if (::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0)
        return fail_errno("set the terminal to raw mode");
    return RawMode(saved);
}

void RawMode::restore() {
    if (saved_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*saved_);
    saved_.reset();
}

Result<std::string> parse_detach_keys(std::string_view text) {
    std::string keys;
    for (const std::string& key : split(text, ',')) {
        const std::string lower = to_lower(key);
        const char last = lower.empty() ? '\0' : lower.back();
        const bool control = lower.starts_with("ctrl-") && lower.size() == 6;
        if (control && last >= 'a' && last <= 'z')
            keys += static_cast<char>(last - 'a' + 1);
        else if (control && std::string_view("@[\\]^_").find(last) != std::string_view::npos)
            keys += static_cast<char>(last == '@' ? 0 : last - 'A' + 1);
        else if (key.size() == 1)
            keys += key;
        else
            return fail(
                ErrorKind::invalid,
                "invalid detach keys ({}): wanted single characters or ctrl-X, separated by "
                "commas, found '{}'",
                text, key);
    }
    return keys;
}

DetachFilter::Outcome DetachFilter::take(std::string_view typed) {
    Outcome outcome;
    for (const char c : typed) {
        if (!keys_.empty() && c == keys_[matched_]) {
            if (++matched_ == keys_.size()) {
                outcome.detached = true;
                return outcome;
            }
            continue;
        }
        outcome.pass_on += keys_.substr(0, matched_);
        matched_ = !keys_.empty() && c == keys_[0] ? 1 : 0;
        if (matched_ == 0)
            outcome.pass_on += c;
        else if (keys_.size() == 1)
            outcome.detached = true;
    }
    return outcome;
}

}  // namespace corten::cli
