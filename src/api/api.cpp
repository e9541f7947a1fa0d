#include "errors.hpp"
#include "router.hpp"

#include <api/api.hpp>
#include <base/log.hpp>

namespace corten::api {

namespace {

void set_common_headers(http::ResponseWriter& answer, const Settings& settings) {
    auto& headers = answer.headers();
    headers.add("Api-Version", to_string(newest));
    headers.add("Docker-Experimental", "false");
    headers.add("Ostype", "linux");
    headers.add("Server", fmt::format("Corten/{} (linux)", settings.engine_version));
}

Result<void> route(const Router& router, Call& call, const VersionedPath& path) {
    TRY(check_version(path));
    if (call.request.method == "OPTIONS") return call.reply_empty(200);
    const Route* found = router.find(call.request.method, path.path, call.parameters);
    if (!found) return fail(ErrorKind::not_found, "page not found");
    return found->run(call);
}

Result<void> answer_error(http::ResponseWriter& answer, const Error& error, ApiVersion version) {
    const int status = status_of(error.kind());
    // Clients older than 1.24 expect text; the newer ones compare the type letter by letter.
    const bool text = version < oldest;
    answer.headers().set("Content-Type", text ? "text/plain; charset=utf-8" : "application/json");
    if (status == 304) answer.headers().remove("Content-Type");
    return answer.send(status, text ? error.message() + "\n" : error_body(error));
}

/// Runs the routes; libraries that throw are fenced here, one request at a time.
Result<void> run_fenced(const Router& router, Call& call, const VersionedPath& path) {
    try {
        return route(router, call, path);
    } catch (const std::exception& e) {
        return fail(ErrorKind::internal, "{}", e.what());
    }
}

void log_failure(const http::Request& request, const Error& error) {
    if (status_of(error.kind()) >= 500 && error.kind() != ErrorKind::not_built)
        log::error("{} {}: {}", request.method, request.path, error.message());
    else
        log::debug("{} {}: {}", request.method, request.path, error.message());
}

}  // namespace

Api::Api(engine::Engine& engine, Settings settings)
    : engine_(engine), settings_(std::move(settings)), router_(std::make_unique<Router>()) {
    for (const auto& routes :
         {system_routes(), container_routes(), container_stream_routes(), archive_routes(),
          exec_routes(), image_routes(), image_stream_routes(), network_routes(), volume_routes(),
          event_routes(), stats_routes(), plugin_routes(), extension_routes(), unbuilt_routes()})
        router_->add(routes);
}

Api::~Api() = default;

void Api::handle(http::Request& request, http::ResponseWriter& answer) {
    set_common_headers(answer, settings_);
    auto path = split_version(request.path);
    if (!path.has_value()) return answer_error(answer, path.error(), newest).ignore();
    Call call{.request = request, .answer = answer, .engine = engine_, .version = path->version};
    const auto result = run_fenced(*router_, call, *path);
    if (result.has_value()) return;
    // Once the head is out an error can only be shown by cutting the answer; a client that left is
    // the usual reason.
    if (answer.started()) {
        log::debug("{} {}: {}", request.method, request.path, result.error().message());
        return answer.abort();
    }
    log_failure(request, result.error());
    answer_error(answer, result.error(), path->version).ignore();
}

}  // namespace corten::api
