#include "router.hpp"
#include "shapes.hpp"

#include <array>

namespace corten::api {

namespace {

/// How the lines are packed, as the client prefers it; plain JSON lines when it does not say.
struct LineFormat {
    std::string content_type = "application/json";
    std::string prefix;
};

LineFormat line_format(const Call& call) {
    if (call.request.headers.has_token("Accept", "application/x-ndjson"))
        return {"application/x-ndjson", ""};
    if (call.request.headers.has_token("Accept", "application/json-seq"))
        return {"application/json-seq", "\x1e"};
    return {};
}

Result<void> events(Call& call) {
    const engine::EventHub::Range range{.since = TRY(call.time("since")),
                                        .until = TRY(call.time("until"))};
    if (range.since && range.until && *range.until < *range.since)
        return fail(ErrorKind::invalid, "`since` time ({}) cannot be after `until` time ({})",
                    call.text("since"), call.text("until"));
    const auto subscription = TRY(call.engine.events().subscribe(range, TRY(call.filters())));
    const auto format = line_format(call);
    call.answer.headers().set("Content-Type", format.content_type);
    // At once, so that the client knows that it misses nothing from here on.
    TRY(call.answer.start(200));
    const FdView gone = TRY(call.gone());
    while (auto event = TRY(subscription->next(gone))) {
        shape(*event, call.version);
        TRY(call.answer.write(format.prefix + dump_json(to_json(*event)) + "\n"));
    }
    return {};
}

constexpr std::array routes{Route{"GET", "/events", events}};

}  // namespace

std::span<const Route> event_routes() {
    return routes;
}

}  // namespace corten::api
