#include "kernel_settings.hpp"

#include "root.hpp"

#include <base/text.hpp>
#include <oci/kernel_names.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/mount.hpp>
#include <sys/personality.h>
#include <sys/resolve.hpp>
#include <sys/socket.h>
#include <sys/syscall.h>

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

namespace corten::runtime {
namespace {

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

}  // namespace

Result<Fd> host_proc() {
    Fd proc = TRY(sys::open("/proc", O_PATH | O_DIRECTORY));
    if (!TRY(is_root_of(proc, PROC_SUPER_MAGIC)))
        return fail(ErrorKind::corrupt, "/proc of the host is not procfs");
    return proc;
}

Result<Fd> private_proc() {
    const auto context = TRY(sys::FileSystemContext::open("proc"));
    auto proc = context.mount(0);
    if (!proc && proc.error().number() == EPERM) return host_proc();
    return proc;
}

Result<Fd> open_proc_file(FdView proc, std::string_view path, int flags) {
    constexpr auto resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
    return sys::open_resolved(proc, std::string(path), flags, 0, resolve).context("/proc");
}

Result<void> write_proc_file(FdView file, std::string_view value) {
    const ssize_t n = ::write(file.raw(), value.data(), value.size());
    if (n < 0) return fail_errno("write \"{}\"", value);
    if (static_cast<std::size_t>(n) != value.size())
        return fail(ErrorKind::invalid, "\"{}\" is longer than the kernel takes", value);
    return {};
}

Result<void> write_proc(FdView proc, std::string_view path, std::string_view value) {
    const Fd file = TRY(open_proc_file(proc, path, O_WRONLY));
    return write_proc_file(file, value).context(fmt::format("/proc/{}", path));
}

Result<void> apply_oom_score(const std::string& process, const oci::Process& wanted) {
    if (!wanted.oom_score_adj) return {};
    const auto file = process + "/oom_score_adj", value = fmt::to_string(*wanted.oom_score_adj);
    const Fd proc = TRY(host_proc());
    // What it has already may be given to it again only by who may change it.
    const Fd there = TRY(open_proc_file(proc, file, O_RDONLY));
    const auto now = TRY(sys::read_all(there));
    if (trim(now) == value) return {};
    return write_proc(proc, file, value).context("process.oomScoreAdj");
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
    if (::personality(value) < 0) return fail_errno("linux.personality: {}", personality.domain);
    return {};
}

Result<void> apply_memory_policy(const oci::LinuxMemoryPolicy& policy) {
    const auto mode =
        TRY(value_of(oci::memory_policy_modes(), policy.mode, "linux.memoryPolicy.mode")) |
        TRY(bits_of(oci::memory_policy_flags(), policy.flags, "linux.memoryPolicy.flags"));
    std::uint64_t nodes = 0;
    for (const auto n : TRY(oci::parse_number_list(policy.nodes, oci::last_memory_node,
                                                   "linux.memoryPolicy.nodes")))
        nodes |= 1ULL << n;
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
    const Fd proc = TRY(host_proc());
    if (!text.empty())
        TRY(write_proc(proc, "self/timens_offsets", text).context("linux.timeOffsets"));
    // unshare only moves children; offsets can be set no longer once a process is inside.
    const Fd own = TRY(sys::open_at(proc, "self/ns/time_for_children", O_RDONLY));
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
