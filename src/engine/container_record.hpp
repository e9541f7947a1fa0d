#pragma once
// What is known of a container and lives on disk: what it was asked to be, and how it stands.
#include <apitypes/container_config.hpp>
#include <base/clock.hpp>
#include <base/json.hpp>
#include <engine/containers.hpp>
#include <network/types.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::engine {

/// One mount, after -v, --mount, --tmpfs, --volumes-from and the image's volumes were put together.
struct PlannedMount {
    std::string type;         ///< "bind", "volume" or "tmpfs"
    std::string name;         ///< of a volume
    std::string source;       ///< host path of a bind
    std::string target;       ///< absolute and clean
    std::string mode;         ///< as the inspection shows it
    std::string propagation;  ///< of a bind, filled in at create
    std::string subpath;      ///< within a volume
    std::string tmpfs_options;
    std::map<std::string, std::string> volume_options;  ///< of the driver, for a new volume
    std::map<std::string, std::string> volume_labels;   ///< for a new volume
    bool read_only = false;
    bool recursive = true;
    bool recursive_read_only = true;
    bool no_copy = false;        ///< a new volume is not filled from the image
    bool create_source = false;  ///< -v makes a missing host directory, --mount does not
    bool anonymous = false;      ///< removed with the container when that is asked for

    static constexpr void fields(auto visit) {
        using C = PlannedMount;
        visit(field("type", &C::type), omit_empty("name", &C::name),
              omit_empty("source", &C::source), field("target", &C::target),
              omit_empty("mode", &C::mode), omit_empty("propagation", &C::propagation),
              omit_empty("subpath", &C::subpath), omit_empty("tmpfsOptions", &C::tmpfs_options),
              omit_empty("volumeOptions", &C::volume_options),
              omit_empty("volumeLabels", &C::volume_labels), field("readOnly", &C::read_only),
              field("recursive", &C::recursive),
              field("recursiveReadOnly", &C::recursive_read_only), field("noCopy", &C::no_copy),
              field("createSource", &C::create_source), field("anonymous", &C::anonymous));
    }
};

/// What a container was asked to be: set at create, changed only by rename and update.
struct ContainerSpec {
    std::string id;
    std::string name;
    std::int64_t created = 0;  ///< nanoseconds since the epoch
    std::string image;         ///< as the user wrote it
    std::string image_id;
    std::string chain_id;  ///< top layer of the image
    std::string path;
    std::vector<std::string> args;
    apitypes::ContainerConfig config;
    apitypes::HostConfig host;
    apitypes::NetworkingConfig networking;
    std::vector<PlannedMount> mounts;

    static constexpr void fields(auto visit) {
        using C = ContainerSpec;
        visit(field("id", &C::id), field("name", &C::name), field("created", &C::created),
              field("image", &C::image), field("imageId", &C::image_id),
              field("chainId", &C::chain_id), field("path", &C::path), field("args", &C::args),
              field("config", &C::config), field("host", &C::host),
              field("networking", &C::networking), field("mounts", &C::mounts));
    }
};

struct HealthProbe {
    std::int64_t start = 0;  ///< nanoseconds since the epoch
    std::int64_t end = 0;
    int exit_code = 0;
    std::string output;

    static constexpr void fields(auto visit) {
        using C = HealthProbe;
        visit(field("start", &C::start), field("end", &C::end), field("exitCode", &C::exit_code),
              field("output", &C::output));
    }
};

struct HealthRecord {
    std::string status;  ///< "starting", "healthy", "unhealthy"; empty: no health check
    int failing_streak = 0;
    std::vector<HealthProbe> log;  ///< the last five

    static constexpr void fields(auto visit) {
        using C = HealthRecord;
        visit(field("status", &C::status), field("failingStreak", &C::failing_streak),
              field("log", &C::log));
    }
};

/// How a container stands.
struct ContainerState {
    std::string status = "created";
    int pid = 0;
    int exit_code = 0;
    std::string error;
    std::int64_t started_at = 0;  ///< nanoseconds since the epoch; 0 is never
    std::int64_t finished_at = 0;
    bool oom_killed = false;
    int restart_count = 0;
    bool stopped_by_user = false;
    bool removes_volumes = false;  ///< while it is removed: its anonymous volumes go too
    std::int64_t restart_delay_ms = 0;
    std::string sandbox_id;
    std::vector<network::Endpoint> endpoints;  ///< while it runs
    HealthRecord health;
    std::string cgroup_path;
    std::map<std::string, double> timings_ms;  ///< phases of the last start

    static constexpr void fields(auto visit) {
        using C = ContainerState;
        visit(field("status", &C::status), field("pid", &C::pid), field("exitCode", &C::exit_code),
              field("error", &C::error), field("startedAt", &C::started_at),
              field("finishedAt", &C::finished_at), field("oomKilled", &C::oom_killed),
              field("restartCount", &C::restart_count), field("stoppedByUser", &C::stopped_by_user),
              omit_empty("removesVolumes", &C::removes_volumes),
              field("restartDelayMs", &C::restart_delay_ms), field("sandboxId", &C::sandbox_id),
              field("endpoints", &C::endpoints), field("health", &C::health),
              field("cgroupPath", &C::cgroup_path), field("timingsMs", &C::timings_ms));
    }
    bool is_running() const { return status == "running" || status == "paused"; }
    bool counts_as_running() const { return is_running() || status == "restarting"; }
};

}  // namespace corten::engine
