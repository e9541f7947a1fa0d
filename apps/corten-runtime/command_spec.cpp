#include "commands.hpp"

#include <oci/runtime_spec.hpp>
#include <sys/file.hpp>

#include <cgroup/layout.hpp>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime_cli {
namespace {

oci::Process default_process() {
    oci::Process process;
    process.terminal = true;
    process.args = {"sh"};
    process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                   "TERM=xterm"};
    process.cwd = "/";
    const std::vector<std::string> names{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    process.capabilities = oci::LinuxCapabilities{.bounding = names,
                                                  .effective = names,
                                                  .inheritable = {},
                                                  .permitted = names,
                                                  .ambient = {}};
    process.rlimits = {{"RLIMIT_NOFILE", 1024, 1024}};
    process.no_new_privileges = true;
    return process;
}

std::vector<oci::Mount> default_mounts() {
    return {
        {"/proc", "proc", "proc", {}, {}, {}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}, {}, {}},
        {"/dev/pts",
         "devpts",
         "devpts",
         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"},
         {},
         {}},
        {"/dev/shm",
         "tmpfs",
         "shm",
         {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"},
         {},
         {}},
        {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}, {}, {}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}, {}, {}},
        {"/sys/fs/cgroup",
         "cgroup",
         "cgroup",
         {"nosuid", "noexec", "nodev", "relatime", "ro"},
         {},
         {}}};
}

oci::Spec default_spec() {
    oci::Spec spec;
    spec.process = default_process();
    spec.root = oci::Root{"rootfs", true};
    spec.hostname = "corten";
    spec.mounts = default_mounts();
    auto& section = spec.linux_section;
    section.resources.emplace().devices = {{.allow = false, .access = "rwm"}};
    for (const char* type : {"pid", "network", "ipc", "uts", "mount"})
        section.namespaces.push_back({type, ""});
    // As runc's, whose users add one themselves on v1.
    const auto layout = cgroup::Layout::detect();
    if (layout && layout->unified()) section.namespaces.push_back({"cgroup", ""});
    section.masked_paths = {"/proc/acpi",        "/proc/asound",        "/proc/kcore",
                            "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
                            "/proc/timer_stats", "/proc/sched_debug",   "/sys/firmware",
                            "/proc/scsi"};
    section.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"};
    return spec;
}

/// An ordinary user: itself as root of a user namespace, no network of its own to own sysfs by.
void make_rootless(oci::Spec& spec) {
    auto& section = spec.linux_section;
    std::erase_if(section.namespaces, [](const auto& entry) { return entry.type == "network"; });
    section.namespaces.push_back({"user", ""});
    section.uid_mappings = {{0, ::geteuid(), 1}};
    section.gid_mappings = {{0, ::getegid(), 1}};
    section.resources.reset();
    for (auto& mount : spec.mounts) {
        std::erase_if(mount.options, [](const auto& option) { return option == "gid=5"; });
        if (mount.destination != "/sys") continue;
        mount = {"/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"}, {}, {}};
    }
}

}  // namespace

Result<int> make_spec(const std::string& bundle, bool rootless) {
    const auto path = (bundle.empty() ? "." : bundle) + "/config.json";
    if (sys::exists(path))
        return fail(ErrorKind::conflict, "file {} exists. Remove it first", path);
    auto spec = default_spec();
    if (rootless) make_rootless(spec);
    TRY(sys::write_file_atomic(path, to_json(spec).dump(4) + "\n"));
    return 0;
}

}  // namespace corten::runtime_cli
