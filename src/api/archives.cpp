// Files in and out of containers.
#include "path_stat.hpp"
#include "router.hpp"
#include "tar_body.hpp"

#include <base/text.hpp>

#include <array>

namespace corten::api {

namespace {

Result<std::string> wanted_path(const Call& call) {
    auto path = call.text("path");
    if (path.empty()) return fail(ErrorKind::invalid, "bad parameters: path is required");
    return path;
}

/// "gzip, deflate;q=0.5": what stands there with a weight of 0 is not wanted (RFC 9110 12.5.3).
bool takes_gzip(std::string_view accepted) {
    for (const auto& entry : split(accepted, ',')) {
        const auto [name, weight] = split_once(entry, ';');
        if (trim(name) != "gzip" && trim(name) != "*") continue;
        const auto value = split_once(trim(weight), '=').second;
        return value.empty() || value.find_first_not_of("0.") != std::string_view::npos;
    }
    return false;
}

Result<void> stat(Call& call) {
    const auto stat = TRY(call.engine.containers().stat_path(call.name(), TRY(wanted_path(call))));
    call.answer.headers().add("X-Docker-Container-Path-Stat", path_stat_header(stat));
    return call.reply_empty(200);
}

Result<void> get(Call& call) {
    const auto path = TRY(wanted_path(call));
    const auto stat = TRY(call.engine.containers().stat_path(call.name(), path));
    call.answer.headers().add("X-Docker-Container-Path-Stat", path_stat_header(stat));
    const bool gzip = takes_gzip(call.request.headers.get_or("Accept-Encoding", ""));
    return stream_body(
        call, "application/x-tar",
        [&](const ByteSink& sink) {
            return call.engine.containers().get_archive(
                call.name(), path,
                gzip ? engine::ArchiveEncoding::gzip : engine::ArchiveEncoding::plain, sink);
        },
        gzip ? "gzip" : "");
}

Result<void> put(Call& call) {
    const engine::PutArchive options{.no_overwrite_dir_non_dir = call.flag("noOverwriteDirNonDir"),
                                     .copy_uid_gid = call.flag("copyUIDGID")};
    TRY(call.engine.containers().put_archive(call.name(), TRY(wanted_path(call)), options,
                                             call.request.body()));
    return call.reply_empty(200);
}

Result<void> export_all(Call& call) {
    return stream_body(call, "application/octet-stream", [&](const ByteSink& sink) {
        return call.engine.containers().export_archive(call.name(), sink);
    });
}

constexpr std::array routes{
    Route{"HEAD", "/containers/{}/archive", stat},
    Route{"GET", "/containers/{}/archive", get},
    Route{"PUT", "/containers/{}/archive", put},
    Route{"GET", "/containers/{}/export", export_all},
};

}  // namespace

std::span<const Route> archive_routes() {
    return routes;
}

}  // namespace corten::api
