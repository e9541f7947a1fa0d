// Managed plugins: none can be installed, and clients ask for them all the same.
#include "router.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> list(Call& call) {
    return call.reply_json(200, Json::array());
}

Result<void> missing(Call& call) {
    return fail(ErrorKind::not_found, "plugin \"{}\" not found", call.name());
}

Result<void> install(Call&) {
    return fail(ErrorKind::not_built, "managed plugins are not supported by this engine");
}

constexpr std::array routes{
    Route{"GET", "/plugins", list},
    Route{"GET", "/plugins/privileges", install},
    Route{"POST", "/plugins/pull", install},
    Route{"POST", "/plugins/create", install},
    Route{"GET", "/plugins/{}/json", missing},
    Route{"DELETE", "/plugins/{}", missing},
    Route{"POST", "/plugins/{}/enable", missing},
    Route{"POST", "/plugins/{}/disable", missing},
    Route{"POST", "/plugins/{}/upgrade", missing},
    Route{"POST", "/plugins/{}/push", missing},
    Route{"POST", "/plugins/{}/set", missing},
};

}  // namespace

std::span<const Route> plugin_routes() {
    return routes;
}

}  // namespace corten::api
