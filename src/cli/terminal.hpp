#pragma once
// The user's terminal: raw mode, its size, and the keys that detach from a container.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <termios.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace corten::cli {

bool is_terminal(FdView fd);
inline FdView standard_input() {
    return FdView(0);
}
inline FdView standard_output() {
    return FdView(1);
}

struct WindowSize {
    unsigned height = 0;
    unsigned width = 0;
};
/// Of standard output; zeros when it is not a terminal.
WindowSize window_size();

/// Raw mode of standard input, until it goes away. Output processing is off too: the container's
/// own terminal does it.
class RawMode {
public:
    static RawMode none() { return RawMode(std::nullopt); }
    /// Does nothing when standard input is not a terminal.
    static Result<RawMode> enter();
    RawMode(RawMode&& other) noexcept : saved_(std::exchange(other.saved_, {})) {}
    RawMode& operator=(RawMode&&) = delete;
    ~RawMode() { restore(); }
    void restore();

private:
    explicit RawMode(std::optional<termios> saved) : saved_(saved) {}
    std::optional<termios> saved_;
};

/// "ctrl-p,ctrl-q" or "a,b": single characters and ctrl-X.
Result<std::string> parse_detach_keys(std::string_view text);

/// Watches typed bytes for the detach sequence. What could be its beginning is held back until it
/// is known not to be.
class DetachFilter {
public:
    explicit DetachFilter(std::string keys) : keys_(std::move(keys)) {}

    struct Outcome {
        std::string pass_on;
        bool detached = false;
    };
    Outcome take(std::string_view typed);

private:
    std::string keys_;
    std::size_t matched_ = 0;
};

}  // namespace corten::cli
