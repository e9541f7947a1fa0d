#include "create_flags.hpp"

#include <algorithm>
#include <array>

namespace corten::cli {

namespace {

using enum FlagKind;

constexpr const char* windows_only = "it means something on Windows only";

constexpr std::array limit_flags = {
    Flag{"blkio-weight", 0, integer, "Share of block I/O, 10 to 1000 (0: the default)", "uint16"},
    Flag{"cpu-period", 0, integer, "Length of a CFS period in microseconds"},
    Flag{"cpu-quota", 0, integer, "CPU time per CFS period in microseconds"},
    Flag{"cpu-rt-period", 0, integer, "Length of a real-time period in microseconds"},
    Flag{"cpu-rt-runtime", 0, integer, "Real-time CPU time per period in microseconds"},
    Flag{"cpu-shares", 'c', integer, "Share of CPU time beside others (default weight is 1024)"},
    Flag{"cpus", 0, text, "How many CPUs it may use at most, e.g. 1.5", "decimal"},
    Flag{"cpuset-cpus", 0, text, "CPUs to run on: 0-3, 0,1"},
    Flag{"cpuset-mems", 0, text, "Memory nodes to use: 0-3, 0,1"},
    Flag{"memory", 'm', size, "Most memory it may use, e.g. 512m"},
    Flag{"memory-reservation", 0, size, "Memory to shrink to when the host runs short"},
    Flag{"memory-swap", 0, swap, "Memory and swap together; -1 for as much swap as there is"},
    Flag{"pids-limit", 0, integer, "Most processes and threads; -1 for no limit"},
    Flag{"restart", 0, text, "When to start it again: no, on-failure[:N], always, unless-stopped"},
};

constexpr std::array common_flags = {
    Flag{"add-host", 0, list, "Line for /etc/hosts, as name:ip (ip may be host-gateway)"},
    Flag{"annotation", 0, list, "Annotation for the OCI runtime, as key=value", "map"},
    Flag{"attach", 'a', list, "Attach only to stdin, stdout or stderr"},
    Flag{"blkio-weight-device", 0, list, "Share of a device's I/O, as path:weight"},
    Flag{"cap-add", 0, list, "Capability to add, or ALL"},
    Flag{"cap-drop", 0, list, "Capability to take away, or ALL"},
    Flag{"cgroup-parent", 0, text, "cgroup under which to put the container"},
    Flag{"cgroupns", 0, text, "cgroup namespace: host or private"},
    Flag{"cidfile", 0, text, "File to write the container's id to"},
    Flag{"device", 0, list, "Device to give: host-path[:container-path][:rwm]"},
    Flag{"device-cgroup-rule", 0, list, "Devices to allow, as a rule like 'c 10:* rwm'"},
    Flag{"device-read-bps", 0, list, "Read limit of a device, as path:bytes-per-second"},
    Flag{"device-read-iops", 0, list, "Read limit of a device, as path:operations-per-second"},
    Flag{"device-write-bps", 0, list, "Write limit of a device, as path:bytes-per-second"},
    Flag{"device-write-iops", 0, list, "Write limit of a device, as path:operations-per-second"},
    Flag{"dns", 0, list, "Address of a DNS server"},
    Flag{"dns-option", 0, list, "Option for /etc/resolv.conf"},
    Flag{"dns-search", 0, list, "Domain to search ('.' for none)"},
    Flag{"domainname", 0, text, "NIS domain name"},
    Flag{"entrypoint", 0, text, "Program to run instead of the image's ENTRYPOINT"},
    Flag{"env", 'e', list, "Variable to set: NAME=value, or NAME to pass yours on"},
    Flag{"env-file", 0, list, "File of variables, one a line"},
    Flag{"expose", 0, list, "Port or range to mark as used, e.g. 80/tcp"},
    Flag{"gpus", 0, text, "GPUs to give: all, a number, or device=...", "gpu-request"},
    Flag{"group-add", 0, list, "Group the process is in besides its own"},
    Flag{"health-cmd", 0, text, "Shell command that tells whether the container works"},
    Flag{"health-interval", 0, duration, "Time between two checks, e.g. 30s"},
    Flag{"health-retries", 0, integer, "Failures in a row that make it unhealthy"},
    Flag{"health-start-interval", 0, duration, "Time between checks while it starts"},
    Flag{"health-start-period", 0, duration, "Time in which failures do not count yet"},
    Flag{"health-timeout", 0, duration, "Most time one check may take"},
    Flag{"hostname", 'h', text, "Host name inside"},
    Flag{"init", 0, toggle, "Run a small init that reaps processes and passes signals on"},
    Flag{"interactive", 'i', toggle, "Keep stdin open, attached or not"},
    Flag{"ip", 0, text, "IPv4 address on a network of your own"},
    Flag{"ip6", 0, text, "IPv6 address on a network of your own"},
    Flag{"ipc", 0, text, "IPC namespace: none, private, shareable, host, container:NAME"},
    Flag{"kernel-memory", 0, size, "Kernel memory limit (refused: the kernel has dropped it)"},
    Flag{"label", 'l', list, "Label, as key=value"},
    Flag{"label-file", 0, list, "File of labels, one a line"},
    Flag{"link", 0, list, "Container to link to, as name[:alias]"},
    Flag{"link-local-ip", 0, list, "Link-local address"},
    Flag{"log-driver", 0, text, "Where the output is logged, e.g. json-file, none"},
    Flag{"log-opt", 0, list, "Option of the log driver, e.g. max-size=10m"},
    Flag{"mac-address", 0, text, "MAC address, e.g. 02:42:ac:11:00:05"},
    Flag{"memory-swappiness", 0, integer, "How readily memory is swapped, 0 to 100", "", "-1"},
    Flag{"mount", 0, list, "Mount, e.g. type=bind,src=/host,dst=/inside,readonly", "mount"},
    Flag{"name", 0, text, "Name of the container"},
    Flag{"network", 0, list, "Network: bridge, host, none, container:NAME or a name", "network"},
    Flag{"network-alias", 0, list, "Name of the container on the network"},
    Flag{"no-healthcheck", 0, toggle, "Do not run the image's health check"},
    Flag{"oom-kill-disable", 0, toggle, "Do not kill it when it runs out of memory"},
    Flag{"oom-score-adj", 0, integer, "How willingly the kernel kills it, -1000 to 1000"},
    Flag{"pid", 0, text, "PID namespace: host or container:NAME"},
    Flag{"platform", 0, text, "Platform of the image, e.g. linux/arm64"},
    Flag{"privileged", 0, toggle, "Give all capabilities and devices: no isolation worth the name"},
    Flag{"publish", 'p', list, "Port to publish: [[ip:]host-port:]container-port[/proto]"},
    Flag{"publish-all", 'P', toggle, "Publish each exposed port on a free port"},
    Flag{"pull", 0, text, "When to pull the image: always, missing, never", "", "missing"},
    Flag{"quiet", 'q', toggle, "Do not show the progress of a pull"},
    Flag{"read-only", 0, toggle, "Mount the root file system read-only"},
    Flag{"rm", 0, toggle, "Remove the container and its anonymous volumes when it ends"},
    Flag{"runtime", 0, text, "OCI runtime to use"},
    Flag{"security-opt", 0, list,
         "seccomp=FILE|unconfined, no-new-privileges, systempaths=unconfined, apparmor=..., "
         "label=..."},
    Flag{"shm-size", 0, size, "Size of /dev/shm"},
    Flag{"stop-signal", 0, text, "Signal that asks it to end"},
    Flag{"stop-timeout", 0, integer, "Seconds between that signal and SIGKILL"},
    Flag{"storage-opt", 0, list, "Option of the storage driver, as key=value"},
    Flag{"sysctl", 0, list, "Kernel setting of its namespaces, as key=value", "map"},
    Flag{"tmpfs", 0, list, "Directory in memory: path[:options]"},
    Flag{"tty", 't', toggle, "Give it a terminal"},
    Flag{"ulimit", 0, list, "Resource limit, e.g. nofile=1024:2048", "ulimit"},
    Flag{"user", 'u', text, "User to run as: name|uid[:group|gid]"},
    Flag{"userns", 0, text, "User namespace: host"},
    Flag{"uts", 0, text, "UTS namespace: host"},
    Flag{"volume", 'v', list, "Directory or volume to mount: [source:]target[:options]"},
    Flag{"volume-driver", 0, text, "Driver of the volumes that are made"},
    Flag{"volumes-from", 0, list, "Container whose mounts to take, as name[:ro]"},
    Flag{"workdir", 'w', text, "Working directory inside"},

    Flag{"net", 0, list, "", "", "", "network"},
    Flag{"net-alias", 0, list, "", "", "", "network-alias"},
    Flag{"dns-opt", 0, list, "", "", "", "dns-option"},
    Flag{"cpu-count", 0, integer, "", "", "", "", windows_only},
    Flag{"cpu-percent", 0, integer, "", "", "", "", windows_only},
    Flag{"io-maxbandwidth", 0, text, "", "", "", "", windows_only},
    Flag{"io-maxiops", 0, integer, "", "", "", "", windows_only},
    Flag{"isolation", 0, text, "", "", "", "", windows_only},
    content_trust_flag,
    Flag{"use-api-socket", 0, toggle, "", "", "", "",
         "mount the socket with -v and the credentials by yourself"},
};

constexpr std::array run_only_flags = {
    Flag{"detach", 'd', toggle, "Run in the background and print the container's id"},
    Flag{"detach-keys", 0, text, "Keys that leave the container running", "", "ctrl-p,ctrl-q"},
    Flag{"sig-proxy", 0, toggle, "Pass signals on to the process", "", "true"},
};

template <std::size_t... Sizes>
constexpr auto merge(const std::array<Flag, Sizes>&... parts) {
    std::array<Flag, (Sizes + ...)> all{};
    std::size_t at = 0;
    const auto add = [&](const auto& part) {
        for (const Flag& flag : part) all[at++] = flag;
    };
    (add(parts), ...);
    std::ranges::sort(all, {}, [](const Flag& flag) { return std::string_view(flag.name); });
    return all;
}

constexpr auto create_table = merge(limit_flags, common_flags);
constexpr auto run_table = merge(limit_flags, common_flags, run_only_flags);

}  // namespace

std::span<const Flag> create_flags() {
    return create_table;
}
std::span<const Flag> run_flags() {
    return run_table;
}
std::span<const Flag> update_flags() {
    return limit_flags;
}

}  // namespace corten::cli
