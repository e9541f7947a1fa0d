#pragma once
// The JSON lines of pull, push, load and import.
#include <apitypes/image.hpp>
#include <engine/images.hpp>
#include <http/server.hpp>

#include <chrono>
#include <map>
#include <mutex>

namespace corten::api {

/// Starts the answer with the first line, so that an error before it still gets its real status;
/// later ones become a line of their own. Lines may come from several threads.
class ProgressStream {
public:
    explicit ProgressStream(http::ResponseWriter& answer) : answer_(answer) {}

    engine::ProgressSink sink() {
        return [this](const apitypes::ProgressLine& line) { write(line); };
    }
    void write(const apitypes::ProgressLine& line);
    /// Ends the stream with the outcome of what was done.
    Result<void> finish(Result<void> outcome);

private:
    bool is_too_soon(const apitypes::ProgressLine& line);
    void send(const apitypes::ProgressLine& line);

    using Clock = std::chrono::steady_clock;
    http::ResponseWriter& answer_;
    std::mutex mutex_;
    std::map<std::string, Clock::time_point> last_;  ///< by layer and status
    bool client_gone_ = false;
};

/// One line with its end, "<", ">" and "&" escaped; `progress` is made from the numbers.
std::string render_progress(apitypes::ProgressLine line);

/// "[=====>      ]  36.45kB/3.002MB", or "" without numbers.
std::string progress_bar(const apitypes::ProgressDetail& detail);

}  // namespace corten::api
