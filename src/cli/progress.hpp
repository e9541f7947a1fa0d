#pragma once
// The progress of a pull, push, load or import: one line per layer, redrawn in place on a terminal,
// plain lines otherwise.
#include <base/fd.hpp>
#include <base/json.hpp>
#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::cli {

class Progress {
public:
    /// `width` is the terminal's, in characters; 0 when the output is no terminal.
    explicit Progress(unsigned width) : width_(width) {}

    /// The text to write for one line of the daemon's stream; a line that reports a failure is an
    /// error with the daemon's message.
    Result<std::string> take(const Json& line);

private:
    std::string redraw(const std::string& id, const std::string& text);

    unsigned width_;
    std::vector<std::string> ids_;  ///< in the order of their lines
};

/// "[=====>      ] 3.1MB/7MB", without the bar when the terminal is narrow.
std::string progress_bar(std::int64_t current, std::int64_t total, unsigned width);

}  // namespace corten::cli
