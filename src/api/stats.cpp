#include "router.hpp"

#include <apitypes/stats.hpp>
#include <sys/poll.hpp>

#include <array>

namespace corten::api {

namespace {

using namespace std::chrono_literals;

/// Waits for the next sample's time; false when the client went away.
Result<bool> sleep_one_second(const Call& call) {
    const std::array waiting{TRY(call.gone())};
    return !TRY(sys::wait_readable(waiting, 1s)).has_value();
}

void set_previous(apitypes::Stats& sample, const apitypes::Stats& previous) {
    sample.precpu = previous.cpu;
    sample.preread = previous.read;
}

Result<void> one_sample(Call& call) {
    auto sample = TRY(call.engine.containers().stats(call.name()));
    const bool running = sample.read != apitypes::Stats{}.read;
    if (running && !call.flag("one-shot")) {
        // CPU shares need the difference of two.
        if (!TRY(sleep_one_second(call))) return fail(ErrorKind::cancelled, "the client went away");
        const auto previous = std::move(sample);
        sample = TRY(call.engine.containers().stats(call.name()));
        set_previous(sample, previous);
    }
    return call.reply_json(200, apitypes::to_json(sample));
}

Result<void> sample_stream(Call& call) {
    apitypes::Stats previous;
    auto sample = TRY(call.engine.containers().stats(call.name()));
    TRY(call.answer.start(200));
    for (;;) {
        TRY(call.answer.write(dump_json(apitypes::to_json(sample)) + "\n"));
        if (!TRY(sleep_one_second(call))) return {};
        previous = std::move(sample);
        auto next = call.engine.containers().stats(call.name());
        // A container that was removed ends its stream.
        if (!next.has_value() && next.error().kind() == ErrorKind::not_found) return {};
        sample = TRY(std::move(next));
        set_previous(sample, previous);
    }
}

Result<void> stats(Call& call) {
    const bool stream = !call.request.query.contains("stream") || call.flag("stream");
    return stream ? sample_stream(call) : one_sample(call);
}

constexpr std::array routes{Route{"GET", "/containers/{}/stats", stats}};

}  // namespace

std::span<const Route> stats_routes() {
    return routes;
}

}  // namespace corten::api
