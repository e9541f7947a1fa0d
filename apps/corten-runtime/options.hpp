#pragma once
// What main() parsed, per command. Defaults are runc's.
#include "log.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace corten::runtime_cli {

struct Global {
    std::string root;
    std::string log;
    std::string log_format = "text";
    bool debug = false;
    bool systemd_cgroup = false;
    std::string rootless = "auto";
    bool timings = false;
    int preserve_fds = 0;  ///< of the caller's, from 3 on, to go on into the process
    int listen_fds = 0;    ///< those before them, of socket activation
};

struct CreateOptions {
    std::string id;
    std::string bundle;
    std::string console_socket;
    std::string pidfd_socket;
    std::string pid_file;
    bool no_pivot = false;
    bool no_new_keyring = false;
    bool detach = false;  ///< run only
    bool keep = false;    ///< run only
    bool no_subreaper = false;
    bool cgroup_given = false;  ///< by the configuration
};

struct ExecOptions {
    std::string id;
    std::vector<std::string> args;
    std::string console_socket;
    std::string pidfd_socket;
    std::string pid_file;
    std::string cwd;
    std::vector<std::string> env;
    bool tty = false;
    std::string user;
    std::vector<std::string> additional_gids;
    std::string process;  ///< file with a process of the specification
    bool detach = false;
    std::string process_label;
    std::string apparmor;
    bool no_new_privs = false;
    std::vector<std::string> capabilities;
    std::vector<std::string> cgroups;  ///< "PATH" or "CONTROLLER[,CONTROLLER…]:PATH"
    bool ignore_paused = false;
};

struct UpdateOptions {
    std::string id;
    std::string resources;
    std::optional<std::string> memory, memory_reservation, memory_swap, kernel_memory;
    std::optional<std::string> cpu_period, cpu_quota, cpu_burst, cpu_share, cpu_rt_period,
        cpu_rt_runtime, cpu_idle, cpuset_cpus, cpuset_mems, blkio_weight, pids_limit;
    std::optional<std::string> l3_cache_schema, mem_bw_schema;
};

/// What `checkpoint` and `restore` have in common; defaults are runc's.
struct CriuOptions {
    std::string id;
    std::string image_path;  ///< "": ./checkpoint
    std::string work_path;   ///< "": the image path
    bool tcp_established = false;
    bool ext_unix_sk = false;
    bool shell_job = false;
    bool file_locks = false;
    bool auto_dedup = false;
    bool lazy_pages = false;
    bool link_remap = false;
    bool tcp_skip_in_flight = false;
    std::string manage_cgroups_mode = "soft";
    std::vector<std::string> empty_ns;
};

struct CheckpointOptions {
    CriuOptions criu;
    std::string parent_path;  ///< relative to the image path
    std::string page_server;  ///< "ADDRESS:PORT" that gets the memory
    std::optional<int> status_fd;
    bool leave_running = false;
    bool pre_dump = false;
};

struct RestoreOptions {
    CriuOptions criu;
    std::string bundle;
    std::string console_socket;
    std::string pid_file;
    bool detach = false;
    bool no_subreaper = false;
    bool no_pivot = false;          ///< criu changes the root in its own way
    std::string lsm_profile;        ///< "apparmor:NAME" or "selinux:LABEL"
    std::string lsm_mount_context;  ///< of mounts, instead of the one they were saved with
};

}  // namespace corten::runtime_cli
