#pragma once
// The Docker Engine API (1.24 to 1.51) over an engine: give handler() to an http::Server.
#include <engine/engine.hpp>
#include <http/server.hpp>

#include <memory>
#include <string>

namespace corten::api {

struct Settings {
    std::string engine_version = "0.1.0";  ///< goes into the Server header
};

class Router;

/// Must outlive the server it serves, as the engine must outlive the Api.
class Api {
public:
    Api(engine::Engine& engine, Settings settings);
    ~Api();

    /// Answers one request. Safe from any number of threads.
    void handle(http::Request& request, http::ResponseWriter& answer);
    http::Handler handler() {
        return [this](http::Request& request, http::ResponseWriter& answer) {
            handle(request, answer);
        };
    }

private:
    engine::Engine& engine_;
    const Settings settings_;
    std::unique_ptr<Router> router_;
};

}  // namespace corten::api
