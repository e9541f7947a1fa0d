#pragma once
// From method and path to the function that answers.
#include "call.hpp"

#include <span>

namespace corten::api {

using RouteFunction = Result<void> (*)(Call&);

struct Route {
    std::string_view method;
    /// "/images/{}/json": {} stands for anything, slashes included, the longest first.
    std::string_view pattern;
    RouteFunction run;
};

class Router {
public:
    void add(std::span<const Route> routes);
    /// The first route that fits, in the order in which they were added; fills `parameters`.
    const Route* find(std::string_view method, std::string_view path,
                      std::vector<std::string>& parameters) const;

private:
    std::vector<Route> routes_;
};

bool matches(std::string_view pattern, std::string_view path, std::vector<std::string>& parameters);

// One file per resource.
std::span<const Route> container_routes();
std::span<const Route> container_stream_routes();
std::span<const Route> archive_routes();
std::span<const Route> exec_routes();
std::span<const Route> image_routes();
std::span<const Route> image_stream_routes();
std::span<const Route> network_routes();
std::span<const Route> volume_routes();
std::span<const Route> system_routes();
std::span<const Route> event_routes();
std::span<const Route> stats_routes();
std::span<const Route> plugin_routes();
/// What only this engine has, under /corten.
std::span<const Route> extension_routes();
/// Known and not built: swarm answers 503 as an engine outside a swarm does, the rest 501.
std::span<const Route> unbuilt_routes();

}  // namespace corten::api
