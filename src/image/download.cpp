#include "resolve.hpp"

#include <image/download.hpp>

namespace corten::image {

namespace {

constexpr int most_redirects = 10;

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<http::Url> parse(const std::string& text) {
    auto url = TRY(http::parse_url(text.contains("://") ? text : "http://" + text));
    if (url.scheme == "http" || url.scheme == "https") return url;
    return fail(ErrorKind::invalid, "{}: only http and https are spoken", text);
}

Result<Exchange> get(Transport& transport, http::Url url) {
    for (int hop = 0; hop <= most_redirects; ++hop) {
        std::optional<RequestFailure> failure;
        auto answer = transport.send(url, {.method = "GET", .target = url.target}, failure);
        if (!answer) return std::move(failure->error).context("Get " + http::to_string(url));
        const auto location = answer->headers().get("Location");
        if (answer->status() == 200) return *std::move(answer);
        if (!is_redirect(answer->status()) || !location)
            return fail(ErrorKind::unavailable, "failed to GET {} with status {}",
                        http::to_string(url), answer->status_line());
        auto next = TRY(http::resolve_url(url, *location).context("redirect"));
        if (next.scheme != "https" && (next.scheme != "http" || url.scheme == "https"))
            return fail(ErrorKind::forbidden,
                        "refused to follow a redirect from {} to {} without TLS", url.authority(),
                        next.authority());
        url = std::move(next);
    }
    return fail(ErrorKind::corrupt, "stopped after {} redirects", most_redirects);
}

}  // namespace

struct Download::State {
    Transport transport;
    std::optional<Exchange> answer{};
};

Download::Download(std::unique_ptr<State> state) : state_(std::move(state)) {}
Download::~Download() = default;

Result<std::unique_ptr<Download>> Download::open(const std::string& url, const PullOptions& options,
                                                 FdView cancel) {
    std::unique_ptr<State> state(new State{Transport(transport_options(options, cancel))});
    state->answer.emplace(TRY(get(state->transport, TRY(parse(url)))));
    return std::unique_ptr<Download>(new Download(std::move(state)));
}

ByteSource Download::source() {
    return [this](std::span<char> buffer) { return state_->answer->read(buffer); };
}

}  // namespace corten::image
