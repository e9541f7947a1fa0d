#pragma once
// cortend's flags and daemon.json: dockerd's own names wherever it has the same thing.
#include <base/result.hpp>
#include <engine/config.hpp>

#include <span>
#include <string>
#include <vector>

namespace corten::cortend {

struct TlsFiles {
    bool enabled = false;
    bool verify = false;
    std::string ca;
    std::string certificate;
    std::string key;
};

struct Options {
    engine::Config engine;
    std::vector<std::string> hosts;  ///< "unix:///run/corten/corten.sock", "tcp://127.0.0.1:2375"
    std::string pidfile = "/run/corten/cortend.pid";
    std::string group = "docker";  ///< owner of the socket, when that group exists
    TlsFiles tls;
    bool show_version = false;
    bool show_help = false;
    bool remove_network = false;  ///< take bridge and rules away and exit
};

/// Flags win over the file; a flag and a key of the file for the same thing is an error, as with
/// dockerd. Errors are of kind invalid and name the flag or key.
Result<Options> read_options(std::span<const char* const> arguments);

std::string help_text();

}  // namespace corten::cortend
