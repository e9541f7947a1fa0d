// Routes that clients know and this engine does not serve, each with the reason.
#include "router.hpp"

#include <array>

namespace corten::api {

namespace {

Result<void> swarm(Call&) {
    return fail(
        ErrorKind::unavailable,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" "
        "to connect this node to swarm and try again.");
}

Result<void> join_swarm(Call&) {
    return fail(ErrorKind::not_built, "swarm mode is not supported by this engine");
}

Result<void> build(Call&) {
    return fail(ErrorKind::not_built,
                "building images is not supported by this engine yet: build elsewhere "
                "and load the result");
}

Result<void> buildkit(Call&) {
    return fail(ErrorKind::not_built, "BuildKit sessions are not supported by this engine");
}

Result<void> attestations(Call&) {
    return fail(ErrorKind::not_built, "attestations of images are not supported by this engine");
}

Result<void> checkpoint(Call&) {
    return fail(ErrorKind::not_built, "checkpoints are not supported by this engine");
}

constexpr std::array routes{
    Route{"GET", "/swarm", swarm},
    Route{"POST", "/swarm/init", join_swarm},
    Route{"POST", "/swarm/join", join_swarm},
    Route{"POST", "/swarm/leave", swarm},
    Route{"POST", "/swarm/update", swarm},
    Route{"GET", "/swarm/unlockkey", swarm},
    Route{"POST", "/swarm/unlock", swarm},
    Route{"GET", "/nodes", swarm},
    Route{"GET", "/nodes/{}", swarm},
    Route{"DELETE", "/nodes/{}", swarm},
    Route{"POST", "/nodes/{}/update", swarm},
    Route{"GET", "/services", swarm},
    Route{"POST", "/services/create", swarm},
    Route{"GET", "/services/{}/logs", swarm},
    Route{"GET", "/services/{}", swarm},
    Route{"DELETE", "/services/{}", swarm},
    Route{"POST", "/services/{}/update", swarm},
    Route{"GET", "/tasks", swarm},
    Route{"GET", "/tasks/{}/logs", swarm},
    Route{"GET", "/tasks/{}", swarm},
    Route{"GET", "/secrets", swarm},
    Route{"POST", "/secrets/create", swarm},
    Route{"GET", "/secrets/{}", swarm},
    Route{"DELETE", "/secrets/{}", swarm},
    Route{"POST", "/secrets/{}/update", swarm},
    Route{"GET", "/configs", swarm},
    Route{"POST", "/configs/create", swarm},
    Route{"GET", "/configs/{}", swarm},
    Route{"DELETE", "/configs/{}", swarm},
    Route{"POST", "/configs/{}/update", swarm},
    Route{"POST", "/build", build},
    Route{"POST", "/build/cancel", build},
    Route{"POST", "/session", buildkit},
    Route{"POST", "/grpc", buildkit},
    Route{"GET", "/images/{}/attestations", attestations},
    Route{"GET", "/containers/{}/checkpoints", checkpoint},
    Route{"POST", "/containers/{}/checkpoints", checkpoint},
    Route{"DELETE", "/containers/{}/checkpoints/{}", checkpoint},
};

}  // namespace

std::span<const Route> unbuilt_routes() {
    return routes;
}

}  // namespace corten::api
