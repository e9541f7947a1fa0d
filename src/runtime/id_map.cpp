#include "id_map.hpp"

#include "kernel_settings.hpp"

#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

std::string map_text(const std::vector<oci::IdMapping>& mappings) {
    std::string text;
    for (const auto& map : mappings)
        text += fmt::format("{} {} {}\n", map.container_id, map.host_id, map.size);
    return text;
}

/// newuidmap PID inside outside count ...
Result<void> run_map_helper(const char* program, pid_t pid,
                            const std::vector<oci::IdMapping>& mappings) {
    sys::SpawnRequest request;
    for (const char* directory : {"/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"})
        if (request.program.empty() && sys::exists(std::string(directory) + program))
            request.program = std::string(directory) + program;
    if (request.program.empty())
        return fail(ErrorKind::unsupported,
                    "mapping more than one id as an ordinary user needs {} "
                    "(package uidmap)",
                    program);
    request.arguments.push_back(fmt::to_string(pid));
    for (const auto& map : mappings)
        for (const auto number : {map.container_id, map.host_id, map.size})
            request.arguments.push_back(fmt::to_string(number));
    auto child = TRY(sys::spawn(request));
    const auto status = TRY(child.wait());
    if (status.code != 0)
        return fail(ErrorKind::forbidden, "{} refused the mapping (is the range in /etc/subuid?)",
                    program);
    return {};
}

bool maps_only_self(const std::vector<oci::IdMapping>& mappings, std::uint32_t own) {
    return mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == own;
}

Result<void> write_map(FdView proc, pid_t pid, std::string_view file, std::string_view text) {
    return write_proc(proc, fmt::format("{}/{}", pid, file), text);
}

Result<void> write_as_user(FdView proc, pid_t pid, const std::vector<oci::IdMapping>& uids,
                           const std::vector<oci::IdMapping>& gids) {
    if (maps_only_self(uids, ::geteuid()))
        TRY(write_map(proc, pid, "uid_map", map_text(uids)));
    else
        TRY(run_map_helper("newuidmap", pid, uids));
    if (!maps_only_self(gids, ::getegid())) return run_map_helper("newgidmap", pid, gids);
    // The kernel wants setgroups off before an ordinary user maps a group (CVE-2014-8989).
    TRY(write_map(proc, pid, "setgroups", "deny"));
    return write_map(proc, pid, "gid_map", map_text(gids));
}

}  // namespace

Result<void> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids,
                           const std::vector<oci::IdMapping>& gids) {
    const auto result = [&]() -> Result<void> {
        const Fd proc = TRY(host_proc());
        if (::geteuid() != 0) return write_as_user(proc, pid, uids, gids);
        TRY(write_map(proc, pid, "uid_map", map_text(uids)));
        return write_map(proc, pid, "gid_map", map_text(gids));
    };
    return result().context("linux.uidMappings");
}

Result<Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                               const std::vector<oci::IdMapping>& gids) {
    auto child = TRY(sys::clone_process({.flags = CLONE_NEWUSER}));
    if (!child) {
        ::pause();
        ::_exit(0);
    }
    // Killed and reaped at the end of this block: the descriptor keeps the namespace.
    const sys::OwnedChild owner(std::move(*child));
    const auto pid = owner.process().pid();
    TRY(write_id_maps(pid, uids, gids));
    return sys::open(fmt::format("/proc/{}/ns/user", pid), O_RDONLY);
}

}  // namespace corten::runtime
