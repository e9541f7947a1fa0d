// What only this engine has.
#include "progress.hpp"
#include "router.hpp"

#include <array>

namespace corten::api {

namespace {

/// How a container is made up: every namespace, mount, limit and rule, and where each came from.
Result<void> explain(Call& call) {
    return call.reply_json(200, TRY(call.engine.containers().explain(call.name())));
}

/// Makes an image from the distribution's packages: POST /corten/images/bootstrap?name=debian.
Result<void> bootstrap(Call& call) {
    const auto name = call.text("name");
    if (name.empty())
        return fail(ErrorKind::invalid, "no image to make: give name=debian or name=busybox");
    ProgressStream progress(call.answer);
    const FdView gone = TRY(call.gone());
    return progress.finish(call.engine.images().bootstrap(name, progress.sink(), gone));
}

/// POST /corten/store/check?quick=1&repair=1.
Result<void> check_store(Call& call) {
    const auto report =
        TRY(call.engine.images().check_store(call.flag("quick"), call.flag("repair")));
    return call.reply_json(200, to_json(report));
}

constexpr std::array routes{
    Route{"GET", "/corten/containers/{}/explain", explain},
    Route{"POST", "/corten/images/bootstrap", bootstrap},
    Route{"POST", "/corten/store/check", check_store},
};

}  // namespace

std::span<const Route> extension_routes() {
    return routes;
}

}  // namespace corten::api
