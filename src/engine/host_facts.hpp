#pragma once
// What this host allows, looked up once at start.
#include <base/result.hpp>

#include <cgroup/layout.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace corten::engine {

struct HostFacts {
    cgroup::Layout cgroups;
    int cpu_count = 1;
    std::string online_cpus;  ///< "0-1"
    std::string online_mems;  ///< "0"
    std::int64_t memory_bytes = 0;
    /// Capabilities the daemon itself may use: "all" cannot be more than that.
    std::vector<std::string> capabilities;
    bool sys_resource = false;    ///< CAP_SYS_RESOURCE: may raise limits and lower the OOM score
    int oom_score_adj = 0;        ///< of the daemon, which its children begin with
    bool apparmor = false;        ///< the kernel confines by profiles
    std::string apparmor_parser;  ///< what loads them; empty: containers get none by default
    bool selinux = false;
    std::string kernel_release;
    std::string operating_system;  ///< PRETTY_NAME of os-release
    std::string architecture;      ///< uname's, "x86_64"
    std::string hostname;

    /// Where AppArmor tells which profiles it has.
    static constexpr const char* loaded_profiles = "/sys/kernel/security/apparmor/profiles";

    static Result<HostFacts> read();
};

/// The kind of the file system that a path lies on, in the words of docker's "Backing Filesystem".
std::string file_system_name(const std::string& path);

}  // namespace corten::engine
