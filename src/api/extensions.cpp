// What only this engine has.
#include "credentials.hpp"
#include "progress.hpp"
#include "router.hpp"
#include "tar_body.hpp"

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
        return fail(ErrorKind::invalid,
                    "no image to make: give name=debian, name=ubuntu or name=busybox");
    ProgressStream progress(call.answer);
    const FdView gone = TRY(call.gone());
    return progress.finish(call.engine.images().bootstrap(name, progress.sink(), gone));
}

/// What a registry has under a name, as it is: GET /corten/manifest?reference=NAME&insecure=1.
Result<void> ask_manifest(Call& call) {
    const FdView gone = TRY(call.gone());
    const engine::Images::AskManifest request{.reference = call.text("reference"),
                                              .insecure = call.flag("insecure"),
                                              .credentials = registry_credentials(call)};
    auto found = call.engine.images().ask_manifest(request, gone);
    // A 401 of ours would make clients ask for a password.
    if (!found && found.error().kind() == ErrorKind::unauthorized)
        return fail(ErrorKind::forbidden, "{}", found.error().message());
    return call.reply(200, TRY(std::move(found)));
}

/// POST /corten/store/check?quick=1&repair=1.
Result<void> check_store(Call& call) {
    const auto report =
        TRY(call.engine.images().check_store(call.flag("quick"), call.flag("repair")));
    return call.reply_json(200, to_json(report));
}

/// Whose the bytes below the data root are: GET /corten/system/df.
Result<void> disk_owners(Call& call) {
    return call.reply(200, TRY(call.engine.disk_owners()));
}

/// The files of a volume as an archive: GET /corten/volumes/NAME/archive.
Result<void> export_volume(Call& call) {
    return stream_body(call, "application/x-tar", [&](const ByteSink& sink) {
        return call.engine.volumes().export_archive(call.name(), sink);
    });
}

/// Makes a volume of an archive: POST /corten/volumes/NAME/archive.
Result<void> import_volume(Call& call) {
    return call.reply(201,
                      TRY(call.engine.volumes().import_archive(call.name(), call.request.body())));
}

constexpr std::array routes{
    Route{"GET", "/corten/containers/{}/explain", explain},
    Route{"POST", "/corten/images/bootstrap", bootstrap},
    Route{"GET", "/corten/manifest", ask_manifest},
    Route{"POST", "/corten/store/check", check_store},
    Route{"GET", "/corten/system/df", disk_owners},
    Route{"GET", "/corten/volumes/{}/archive", export_volume},
    Route{"POST", "/corten/volumes/{}/archive", import_volume},
};

}  // namespace

std::span<const Route> extension_routes() {
    return routes;
}

}  // namespace corten::api
