#include "notify_socket.hpp"

#include "log.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/socket.h>
#include <sys/socket.hpp>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>

namespace corten::runtime_cli {
namespace {

constexpr const char* variable = "NOTIFY_SOCKET";
constexpr std::string_view place = "/run/notify";  // as runc's
constexpr std::string_view name = "notify.sock";
constexpr std::size_t longest_message = 4096;

std::string folder_in(const std::string& directory) {
    return directory + "/notify";
}

std::string callers_socket() {
    const char* value = ::getenv(variable);
    return value != nullptr ? value : "";
}

/// "@name" is an abstract one, whose first byte is NUL.
Result<std::pair<sockaddr_un, socklen_t>> address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid, "socket path {} is too long", path);
    std::ranges::copy(path, address.sun_path);
    const bool abstract = path.starts_with('@');
    if (abstract) address.sun_path[0] = '\0';
    const auto size = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
    return std::pair{address, static_cast<socklen_t>(size)};
}

using Attach = int (*)(int, const sockaddr*, socklen_t);  // bind or connect

Result<Fd> datagram_socket(const std::string& path, Attach attach) {
    const auto [address, size] = TRY(address_of(path));
    Fd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return fail_errno("socket");
    if (attach(socket.raw(), reinterpret_cast<const sockaddr*>(&address), size) < 0)
        return fail_errno("{}", path);
    return socket;
}

/// By the folder, whose own path may be longer than a socket's.
Result<Fd> listen_in(const std::string& folder) {
    const Fd directory = TRY(sys::open(folder, O_PATH | O_DIRECTORY));
    const auto path = fmt::format("/proc/self/fd/{}/{}", directory.raw(), name);
    TRY(sys::remove_file(path));  // of a start that failed
    Fd socket = TRY(datagram_socket(path, ::bind));
    // The container's user is anybody.
    if (::chmod(path.c_str(), 0777) < 0) return fail_errno("chmod {}", path);
    return socket;
}

/// Waits until the service manager has read all this: it asks the kernel who sent it, and we end.
Result<void> wait_until_read(FdView outside) {
    constexpr auto patience = std::chrono::seconds(30);
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::stream));
    TRY(sys::send_message(outside, "BARRIER=1", {theirs}));
    theirs.reset();
    const std::array<FdView, 1> closed{ours};
    if (TRY(sys::wait_readable(closed, patience))) return {};
    return fail(ErrorKind::unavailable, "it does not read what it is told");
}

bool says_ready(std::string_view message) {
    const auto lines = split(message, '\n');
    return std::ranges::find(lines, "READY=1") != lines.end();
}

}  // namespace

Result<void> offer_notify_socket(const std::string& directory, oci::Spec& spec) {
    if (callers_socket().empty() || !spec.process) return {};
    const auto folder = folder_in(directory);
    if (::mkdir(folder.c_str(), 0755) < 0) return fail_errno("make {}", folder);
    const std::vector<std::string> options{"bind", "nosuid", "noexec", "nodev", "ro"};
    spec.mounts.push_back({std::string(place), "bind", folder, options, {}, {}});
    spec.process->env.push_back(fmt::format("{}={}/{}", variable, place, name));
    return {};
}

Result<std::optional<NotifySocket>> NotifySocket::open(const std::string& directory) {
    const auto caller = callers_socket();
    const auto folder = folder_in(directory);
    if (caller.empty() || !sys::exists(folder)) return std::optional<NotifySocket>();
    Fd outside = TRY(datagram_socket(caller, ::connect).context(variable));
    Fd inside = TRY(listen_in(folder).context(variable));
    return std::optional(NotifySocket(std::move(inside), std::move(outside)));
}

bool NotifySocket::take(pid_t pid) const {
    const auto tell = [&]() -> Result<bool> {
        std::array<char, longest_message> buffer;
        const auto size = TRY(sys::read_some(inside_, buffer));
        if (!says_ready({buffer.data(), size})) return false;
        TRY(sys::send_message(outside_, fmt::format("READY=1\nMAINPID={}\n", pid)));
        TRY(wait_until_read(outside_));
        return true;
    };
    const auto told = tell();
    if (told) return *told;
    log_warning(fmt::format("{}: {}", variable, told.error().message()));
    return true;
}

void NotifySocket::wait(const sys::PidRef& process) const {
    for (;;) {
        const std::array<FdView, 2> sources{inside_, process.fd()};
        const auto which = sys::wait_readable(sources);
        if (!which || *which == 1 || take(process.pid())) return;
    }
}

}  // namespace corten::runtime_cli
