#include "files.hpp"

#include <sys/eventfd.h>
#include <sys/file.hpp>
#include <sys/inotify.h>

#include <cgroup/group.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace corten::cgroup {

std::uint64_t Group::oom_kills() const {
    const auto directory = this->directory("memory");
    if (directory.empty()) return 0;
    const auto values =
        read_flat_keyed(directory, unified_ ? "memory.events" : "memory.oom_control");
    const auto found = values.find("oom_kill");
    return found == values.end() ? 0 : found->second;
}

namespace {

/// Admin-guide/cgroup-v1/memory.rst, "OOM Control": the eventfd counts one for each event.
Result<Fd> watch_v1(const std::string& directory) {
    Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event) return fail_errno("eventfd");
    const Fd control = TRY(sys::open(directory + "/memory.oom_control", O_RDONLY));
    TRY(write_control(directory, "cgroup.event_control",
                      fmt::format("{} {}", event.raw(), control.raw()), "CONFIG_MEMCG_V1"));
    return event;
}

Result<Fd> watch_v2(const std::string& directory) {
    Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch) return fail_errno("inotify_init");
    const std::string file = directory + "/memory.events";
    if (::inotify_add_watch(watch.raw(), file.c_str(), IN_MODIFY | IN_DELETE_SELF) < 0)
        return fail_errno("watch {}", file);
    return watch;
}

}  // namespace

Result<Fd> Group::watch_oom() const {
    const auto directory = this->directory("memory");
    if (directory.empty())
        return fail(ErrorKind::unsupported, "no memory controller is mounted (CONFIG_MEMCG)");
    return unified_ ? watch_v2(directory) : watch_v1(directory);
}

std::uint64_t Group::new_ooms(FdView watch, std::uint64_t& kills) const {
    char buffer[4096];
    const ssize_t got = ::read(watch.raw(), buffer, sizeof buffer);
    if (unified_) {
        const auto before = std::exchange(kills, std::max(kills, oom_kills()));
        return kills - before;
    }
    // v1 tells before it counts the kill, and once more when the group is removed.
    std::uint64_t events = 0;
    if (got != sizeof events || ::access(directory("memory").c_str(), F_OK) < 0) return 0;
    std::memcpy(&events, buffer, sizeof events);
    return events;
}

}  // namespace corten::cgroup
