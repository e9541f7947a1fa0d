#pragma once
// config.json of the OCI runtime specification 1.2 for Linux
// (https://github.com/opencontainers/runtime-spec, config.md and config-linux.md), and the state
// that hooks and `state` see (runtime.md). Members have the names of the specification.
#include <base/json.hpp>
#include <oci/runtime_process.hpp>
#include <oci/runtime_resources.hpp>
#include <oci/runtime_seccomp.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::oci {

inline constexpr const char* runtime_spec_version = "1.2.1";

struct Root {
    std::string path;  ///< absolute, or relative to the bundle
    bool readonly = false;
    static constexpr void fields(auto visit) {
        visit(field("path", &Root::path), omit_empty("readonly", &Root::readonly));
    }
};

struct IdMapping {
    std::uint32_t container_id = 0;
    std::uint32_t host_id = 0;
    std::uint32_t size = 0;
    static constexpr void fields(auto visit) {
        visit(field("containerID", &IdMapping::container_id), field("hostID", &IdMapping::host_id),
              field("size", &IdMapping::size));
    }
};

struct Mount {
    std::string destination;
    std::string type;
    std::string source;
    std::vector<std::string> options;
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    static constexpr void fields(auto visit) {
        visit(field("destination", &Mount::destination), omit_empty("type", &Mount::type),
              omit_empty("source", &Mount::source), omit_empty("options", &Mount::options),
              omit_empty("uidMappings", &Mount::uid_mappings),
              omit_empty("gidMappings", &Mount::gid_mappings));
    }
};

struct Hook {
    std::string path;
    std::vector<std::string> args;  ///< argv, args[0] included
    std::vector<std::string> env;
    std::optional<std::int64_t> timeout;  ///< seconds, above 0
    static constexpr void fields(auto visit) {
        visit(field("path", &Hook::path), omit_empty("args", &Hook::args),
              omit_empty("env", &Hook::env), omit_empty("timeout", &Hook::timeout));
    }
};

struct Hooks {
    std::vector<Hook> prestart;
    std::vector<Hook> create_runtime;
    std::vector<Hook> create_container;
    std::vector<Hook> start_container;
    std::vector<Hook> poststart;
    std::vector<Hook> poststop;
    static constexpr void fields(auto visit) {
        visit(omit_empty("prestart", &Hooks::prestart),
              omit_empty("createRuntime", &Hooks::create_runtime),
              omit_empty("createContainer", &Hooks::create_container),
              omit_empty("startContainer", &Hooks::start_container),
              omit_empty("poststart", &Hooks::poststart), omit_empty("poststop", &Hooks::poststop));
    }
};

struct LinuxNamespace {
    std::string type;  ///< pid network mount ipc uts user cgroup time
    std::string path;  ///< join this one instead of making a new one
    static constexpr void fields(auto visit) {
        visit(field("type", &LinuxNamespace::type), omit_empty("path", &LinuxNamespace::path));
    }
};

struct LinuxDevice {
    std::string path;
    std::string type;  ///< c, b, u, p
    std::int64_t major = 0;
    std::int64_t minor = 0;
    std::optional<std::uint32_t> file_mode;
    std::optional<std::uint32_t> uid;
    std::optional<std::uint32_t> gid;
    static constexpr void fields(auto visit) {
        visit(field("path", &LinuxDevice::path), field("type", &LinuxDevice::type),
              omit_empty("major", &LinuxDevice::major), omit_empty("minor", &LinuxDevice::minor),
              omit_empty("fileMode", &LinuxDevice::file_mode), omit_empty("uid", &LinuxDevice::uid),
              omit_empty("gid", &LinuxDevice::gid));
    }
};

struct LinuxPersonality {
    std::string domain;  ///< LINUX or LINUX32
    std::vector<std::string> flags;
    static constexpr void fields(auto visit) {
        visit(field("domain", &LinuxPersonality::domain),
              omit_empty("flags", &LinuxPersonality::flags));
    }
};

struct LinuxIntelRdt {
    std::string clos_id;
    std::string l3_cache_schema;
    std::string mem_bw_schema;
    std::vector<std::string> schemata;
    static constexpr void fields(auto visit) {
        visit(omit_empty("closID", &LinuxIntelRdt::clos_id),
              omit_empty("l3CacheSchema", &LinuxIntelRdt::l3_cache_schema),
              omit_empty("memBwSchema", &LinuxIntelRdt::mem_bw_schema),
              omit_empty("schemata", &LinuxIntelRdt::schemata));
    }
};

struct TimeOffset {
    std::int64_t secs = 0;
    std::uint32_t nanosecs = 0;
    static constexpr void fields(auto visit) {
        visit(omit_empty("secs", &TimeOffset::secs), omit_empty("nanosecs", &TimeOffset::nanosecs));
    }
};

struct LinuxMemoryPolicy {
    std::string mode;  ///< "MPOL_INTERLEAVE", ...
    std::string nodes;
    std::vector<std::string> flags;
    static constexpr void fields(auto visit) {
        visit(field("mode", &LinuxMemoryPolicy::mode),
              omit_empty("nodes", &LinuxMemoryPolicy::nodes),
              omit_empty("flags", &LinuxMemoryPolicy::flags));
    }
};

struct LinuxNetDevice {
    std::string name;  ///< the name inside; empty keeps the name
    static constexpr void fields(auto visit) { visit(omit_empty("name", &LinuxNetDevice::name)); }
};

struct Linux {
    std::vector<LinuxDevice> devices;
    std::vector<IdMapping> uid_mappings;
    std::vector<IdMapping> gid_mappings;
    std::map<std::string, std::string> sysctl;
    std::optional<LinuxResources> resources;
    std::string cgroups_path;
    std::vector<LinuxNamespace> namespaces;
    std::optional<LinuxSeccomp> seccomp;
    std::string rootfs_propagation;
    std::vector<std::string> masked_paths;
    std::vector<std::string> readonly_paths;
    std::string mount_label;
    std::optional<LinuxIntelRdt> intel_rdt;
    std::optional<LinuxPersonality> personality;
    std::map<std::string, TimeOffset> time_offsets;  ///< "monotonic", "boottime"
    std::optional<LinuxMemoryPolicy> memory_policy;
    std::map<std::string, LinuxNetDevice> net_devices;
    static constexpr void fields(auto visit) {
        visit(omit_empty("uidMappings", &Linux::uid_mappings),
              omit_empty("gidMappings", &Linux::gid_mappings), omit_empty("sysctl", &Linux::sysctl),
              omit_empty("resources", &Linux::resources),
              omit_empty("cgroupsPath", &Linux::cgroups_path),
              omit_empty("namespaces", &Linux::namespaces), omit_empty("devices", &Linux::devices),
              omit_empty("netDevices", &Linux::net_devices), omit_empty("seccomp", &Linux::seccomp),
              omit_empty("rootfsPropagation", &Linux::rootfs_propagation),
              omit_empty("maskedPaths", &Linux::masked_paths),
              omit_empty("readonlyPaths", &Linux::readonly_paths),
              omit_empty("mountLabel", &Linux::mount_label),
              omit_empty("intelRdt", &Linux::intel_rdt),
              omit_empty("memoryPolicy", &Linux::memory_policy),
              omit_empty("personality", &Linux::personality),
              omit_empty("timeOffsets", &Linux::time_offsets));
    }
};

struct Spec {
    std::string oci_version = runtime_spec_version;
    std::optional<Process> process;
    std::optional<Root> root;
    std::string hostname;
    std::string domainname;
    std::vector<Mount> mounts;
    std::optional<Hooks> hooks;
    std::map<std::string, std::string> annotations;
    Linux linux_section;
    static constexpr void fields(auto visit) {
        visit(field("ociVersion", &Spec::oci_version), omit_empty("process", &Spec::process),
              omit_empty("root", &Spec::root), omit_empty("hostname", &Spec::hostname),
              omit_empty("domainname", &Spec::domainname), omit_empty("mounts", &Spec::mounts),
              omit_empty("hooks", &Spec::hooks), omit_empty("annotations", &Spec::annotations),
              field("linux", &Spec::linux_section));
    }
};

/// What `state` prints and hooks read on stdin (runtime.md, "State").
struct State {
    std::string oci_version = runtime_spec_version;
    std::string id;
    std::string status;  ///< creating created running stopped (and paused)
    std::int32_t pid = 0;
    std::string bundle;
    std::map<std::string, std::string> annotations;
    static constexpr void fields(auto visit) {
        visit(field("ociVersion", &State::oci_version), field("id", &State::id),
              field("status", &State::status), omit_empty("pid", &State::pid),
              field("bundle", &State::bundle), omit_empty("annotations", &State::annotations));
    }
};

/// Reads config.json. Unknown members are ignored, as the specification demands.
Result<Spec> parse_spec(std::string_view text);

/// Refuses what cannot be run, with one sentence that names the field ("linux.namespaces[1].type:
/// ..."). Looks at nothing but the text: paths and kernel features are checked when they are used.
/// `root` and `process` must be there. Minor versions newer than ours are taken.
Result<void> validate(const Spec& spec);

/// The namespace entry of this type, or null.
const LinuxNamespace* find_namespace(const Spec& spec, std::string_view type);

}  // namespace corten::oci
