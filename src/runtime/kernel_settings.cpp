#include "kernel_settings.hpp"

#include <base/text.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.hpp>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace corten::runtime {
namespace {

Result<Fd> verified_host_proc() {
    Fd proc = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
    struct statfs info{};
    if (::fstatfs(proc.raw(), &info) < 0) return fail_errno("/proc");
    if (info.f_type != PROC_SUPER_MAGIC)
        return fail(ErrorKind::corrupt, "/proc of the host is not procfs");
    return proc;
}

/// Each "." parts a name, unless the name is written with "/" and a part has "." in it, as
/// interface names may ("net/ipv4/conf/eth0.100/forwarding").
std::string sysctl_path(const std::string& name) {
    std::string path = name;
    const auto slash = path.find('/');
    const auto dot = path.find('.');
    if (slash == std::string::npos || dot < slash) {
        for (auto& c : path) c = c == '.' ? '/' : c == '/' ? '.' : c;
    }
    return "sys/" + path;
}

struct ModeName {
    std::string_view name;
    int value;
};
constexpr ModeName policy_modes[] = {{"MPOL_DEFAULT", 0},
                                     {"MPOL_PREFERRED", 1},
                                     {"MPOL_BIND", 2},
                                     {"MPOL_INTERLEAVE", 3},
                                     {"MPOL_LOCAL", 4},
                                     {"MPOL_PREFERRED_MANY", 5},
                                     {"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr ModeName policy_flags[] = {{"MPOL_F_STATIC_NODES", 1 << 15},
                                     {"MPOL_F_RELATIVE_NODES", 1 << 14},
                                     {"MPOL_F_NUMA_BALANCING", 1 << 13}};

template <std::size_t N>
Result<int> value_of(const ModeName (&names)[N], std::string_view name, std::string_view field) {
    for (const auto& entry : names)
        if (entry.name == name) return entry.value;
    return fail(ErrorKind::invalid, "{}: \"{}\" is not known", field, name);
}

Result<std::uint64_t> parse_nodes(std::string_view list) {
    std::uint64_t mask = 0;
    if (trim(list).empty()) return mask;
    for (const auto& range : split(list, ',')) {
        const auto [first, last] = split_once(trim(range), '-');
        const auto from = TRY(parse_integer(first, "linux.memoryPolicy.nodes"));
        const auto to = last.empty() ? from : TRY(parse_integer(last, "linux.memoryPolicy.nodes"));
        if (from < 0 || to < from || to > 63)
            return fail(ErrorKind::invalid, "linux.memoryPolicy.nodes: \"{}\"", range);
        for (auto n = from; n <= to; ++n) mask |= 1ULL << n;
    }
    return mask;
}

}  // namespace

Result<Fd> private_proc() {
    const auto context = TRY(sys::FileSystemContext::open("proc"));
    auto proc = context.mount(0);
    if (!proc && proc.error().number() == EPERM) return verified_host_proc();
    return proc;
}

Result<Fd> open_proc_file(FdView proc, std::string_view path) {
    const std::string name(path);
    struct open_how how{};
    how.flags = O_WRONLY | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    Fd file(static_cast<int>(::syscall(SYS_openat2, proc.raw(), name.c_str(), &how, sizeof how)));
    if (!file) return fail_errno("open /proc/{}", path);
    return file;
}

Result<void> write_proc_file(FdView file, std::string_view value) {
    const ssize_t n = ::write(file.raw(), value.data(), value.size());
    if (n < 0) return fail_errno("write \"{}\"", value);
    if (static_cast<std::size_t>(n) != value.size())
        return fail(ErrorKind::invalid, "\"{}\" is longer than the kernel takes", value);
    return {};
}

Result<void> write_proc(FdView proc, std::string_view path, std::string_view value) {
    const Fd file = TRY(open_proc_file(proc, path));
    return write_proc_file(file, value).context(fmt::format("/proc/{}", path));
}

Result<void> apply_sysctl(FdView proc, const std::map<std::string, std::string>& values) {
    for (const auto& [name, value] : values)
        TRY(write_proc(proc, sysctl_path(name), value)
                .context(fmt::format("linux.sysctl.{}", name)));
    return {};
}

Result<void> apply_names(const oci::Spec& spec) {
    if (!spec.hostname.empty() && ::sethostname(spec.hostname.data(), spec.hostname.size()) < 0)
        return fail_errno("hostname: set \"{}\"", spec.hostname);
    if (!spec.domainname.empty() &&
        ::setdomainname(spec.domainname.data(), spec.domainname.size()) < 0)
        return fail_errno("domainname: set \"{}\"", spec.domainname);
    return {};
}

Result<void> apply_personality(const oci::LinuxPersonality& personality) {
    const unsigned long value = personality.domain == "LINUX32" ? PER_LINUX32 : PER_LINUX;
    if (!personality.flags.empty())
        return fail(ErrorKind::unsupported, "linux.personality.flags: none are defined");
    if (::personality(value) < 0) return fail_errno("linux.personality: {}", personality.domain);
    return {};
}

Result<void> apply_memory_policy(const oci::LinuxMemoryPolicy& policy) {
    int mode = TRY(value_of(policy_modes, policy.mode, "linux.memoryPolicy.mode"));
    for (const auto& flag : policy.flags)
        mode |= TRY(value_of(policy_flags, flag, "linux.memoryPolicy.flags"));
    const std::uint64_t nodes = TRY(parse_nodes(policy.nodes));
    if (::syscall(SYS_set_mempolicy, mode, nodes == 0 ? nullptr : &nodes, nodes == 0 ? 0 : 65) < 0)
        return fail_errno("linux.memoryPolicy: {} (CONFIG_NUMA)", policy.mode);
    return {};
}

void forget_affinity() {
    std::array<unsigned long, 128> all;
    all.fill(~0UL);
    // Where it is refused the process stays on the caller's processors, as it was before.
    (void)::syscall(SYS_sched_setaffinity, 0, sizeof all, all.data());
}

Result<void> new_session_keyring(const std::string& container_id) {
    const auto name = "_ses." + container_id;
    const long ring = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str());
    // A kernel without keys has none to leak; a full quota is that of a shared uid.
    if (ring < 0 && (errno == ENOSYS || errno == EDQUOT || errno == EACCES || errno == EPERM))
        return {};
    if (ring < 0) return fail_errno("join a new session keyring");
    // The owner may search it, or nobody in the container could use its own session.
    constexpr unsigned long user_search = 0x080000;
    const long permissions = 0x3f1b0000 | user_search;
    if (::syscall(SYS_keyctl, KEYCTL_SETPERM, ring, permissions) < 0 && errno != EACCES)
        return fail_errno("set the keyring's permissions");
    return {};
}

Result<void> enter_time_namespace(const std::map<std::string, oci::TimeOffset>& offsets) {
    TRY(sys::unshare_namespaces(CLONE_NEWTIME).context("new time namespace (CONFIG_TIME_NS)"));
    std::string text;
    for (const auto& [clock, offset] : offsets)
        text += fmt::format("{} {} {}\n", clock, offset.secs, offset.nanosecs);
    if (!text.empty())
        TRY(sys::write_existing("/proc/self/timens_offsets", text).context("linux.timeOffsets"));
    // unshare only moves children; offsets can be set no longer once a process is inside.
    const Fd own = TRY(sys::open("/proc/self/ns/time_for_children", O_RDONLY));
    return sys::enter_namespaces(own, CLONE_NEWTIME);
}

Result<void> bring_up_loopback() {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return fail_errno("loopback: socket");
    ifreq request{};
    std::ranges::copy(std::string_view("lo"), request.ifr_name);
    request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK;
    if (::ioctl(socket.raw(), SIOCSIFFLAGS, &request) < 0)
        return fail_errno("bring up the loopback");
    return {};
}

}  // namespace corten::runtime
