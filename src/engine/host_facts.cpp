#include "host_facts.hpp"

#include <base/text.hpp>
#include <oci/capability_names.hpp>
#include <sys/file.hpp>
#include <sys/security_modules.hpp>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include <algorithm>
#include <charconv>

namespace corten::engine {

namespace {

/// The value of "Name:\tvalue" in a file such as /proc/self/status.
std::string colon_field(std::string_view text, std::string_view name) {
    for (const auto& line : split(text, '\n'))
        if (line.starts_with(name) && line.size() > name.size() && line[name.size()] == ':')
            return std::string(trim(std::string_view(line).substr(name.size() + 1)));
    return {};
}

std::vector<std::string> capabilities_of(std::string_view hex_mask) {
    std::uint64_t mask = 0;
    std::from_chars(hex_mask.data(), hex_mask.data() + hex_mask.size(), mask, 16);
    std::vector<std::string> held;
    const auto& names = oci::capability_names();
    for (std::size_t i = 0; i < names.size(); ++i)
        if (mask >> i & 1) held.push_back(names[i]);
    return held;
}

std::string pretty_name() {
    const auto text = sys::read_file("/etc/os-release");
    if (!text) return "Linux";  // optional by its own specification
    for (const auto& line : split(*text, '\n')) {
        const auto [key, value] = split_once(line, '=');
        if (key != "PRETTY_NAME") continue;
        std::string_view name = value;
        if (name.size() >= 2 && name.front() == '"') name = name.substr(1, name.size() - 2);
        return std::string(name);
    }
    return "Linux";
}

/// Without its own files in securityfs AppArmor takes no profiles.
std::string find_apparmor_parser() {
    if (!sys::exists(HostFacts::loaded_profiles)) return "";
    for (const char* path : {"/sbin/apparmor_parser", "/usr/sbin/apparmor_parser"})
        if (sys::exists(path)) return path;
    return "";
}

std::string online_list(const std::string& path) {
    const auto text = sys::read_file(path);
    return text ? std::string(trim(*text)) : "0";  // a kernel without NUMA has no such file
}

}  // namespace

std::string file_system_name(const std::string& path) {
    struct statfs status{};
    if (::statfs(path.c_str(), &status) < 0) return "<unknown>";
    switch (static_cast<unsigned long>(status.f_type)) {
        case EXT4_SUPER_MAGIC:
            return "extfs";
        case XFS_SUPER_MAGIC:
            return "xfs";
        case BTRFS_SUPER_MAGIC:
            return "btrfs";
        case TMPFS_MAGIC:
            return "tmpfs";
        case F2FS_SUPER_MAGIC:
            return "f2fs";
        case NFS_SUPER_MAGIC:
            return "nfs";
        case OVERLAYFS_SUPER_MAGIC:
            return "overlayfs";
        default:
            return "<unknown>";
    }
}

Result<HostFacts> HostFacts::read() {
    HostFacts facts;
    facts.cgroups = TRY(cgroup::Layout::detect());
    facts.cpu_count = ::get_nprocs();
    facts.online_cpus = online_list("/sys/devices/system/cpu/online");
    facts.online_mems = online_list("/sys/devices/system/node/online");
    const std::string memory = colon_field(TRY(sys::read_file("/proc/meminfo")), "MemTotal");
    facts.memory_bytes = TRY(parse_integer(split_once(memory, ' ').first, "MemTotal")) * 1024;
    const std::string status = TRY(sys::read_file("/proc/self/status"));
    facts.capabilities = capabilities_of(colon_field(status, "CapPrm"));
    facts.sys_resource =
        std::ranges::find(facts.capabilities, "CAP_SYS_RESOURCE") != facts.capabilities.end();
    facts.oom_score_adj = static_cast<int>(
        TRY(parse_integer(trim(TRY(sys::read_file("/proc/self/oom_score_adj"))), "oom_score_adj")));
    facts.apparmor = sys::apparmor_enabled();
    if (facts.apparmor) facts.apparmor_parser = find_apparmor_parser();
    facts.selinux = sys::selinux_enabled();
    utsname names{};
    if (::uname(&names) < 0) return fail_errno("uname");
    facts.kernel_release = names.release;
    facts.architecture = names.machine;
    facts.hostname = names.nodename;
    facts.operating_system = pretty_name();
    return facts;
}

}  // namespace corten::engine
