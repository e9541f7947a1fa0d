#pragma once
#include <image/endpoints.hpp>
#include <storage/archive.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace corten::engine {

/// What cortend was told at start, after flags and daemon.json were merged. Paths are absolute.
struct Config {
    std::string data_root = "/var/lib/corten";
    std::string exec_root = "/run/corten";
    std::string storage_driver;         ///< see storage::StoreOptions
    std::string shim_program;           ///< corten-shim
    std::string init_program;           ///< corten-init, for --init
    std::size_t spare_supervisors = 2;  ///< started before a container needs them

    std::string bridge = "docker0";
    std::string bridge_address = "172.17.0.1/16";
    std::size_t prepared_sandboxes = 4;

    std::string cgroup_parent = "/corten";
    std::vector<std::string> labels;
    std::vector<std::string> dns;
    std::vector<std::string> dns_search;
    std::vector<std::string> dns_options;
    image::RegistryConfig registries;
    /// Percent of the data root's disk: above the high mark images that no container uses are
    /// removed until it is at the low one. 0: never.
    struct ImageGc {
        unsigned high = 0;
        unsigned low = 0;
    };
    ImageGc image_gc;
    bool keep_blobs = false;           ///< see storage::StoreOptions
    std::size_t layers_at_a_time = 3;  ///< of all pulls together
    std::string log_driver = "json-file";
    std::map<std::string, std::string> log_options;
    struct Ulimit {
        std::int64_t soft = 0;
        std::int64_t hard = 0;
    };
    std::map<std::string, Ulimit> default_ulimits;
    std::int64_t default_shm_size = 64 << 20;
    storage::UnpackLimits layer_limits = storage::usual_layer_limits;  ///< and imports
    bool debug = false;
};

}  // namespace corten::engine
