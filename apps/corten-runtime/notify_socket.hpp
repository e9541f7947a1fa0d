#pragma once
// sd_notify(3) across a container's border. Our caller, a service manager, is told what a container
// says of itself at a socket of its own: that it is ready, and nothing else, for what comes from
// there is not to be believed more.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <sys/process.hpp>

#include <optional>
#include <string>

namespace corten::runtime_cli {

/// Where our caller has a NOTIFY_SOCKET: the container sees a folder of `directory`, the one of its
/// state, at /run/notify, and is told of the socket that will be there.
Result<void> offer_notify_socket(const std::string& directory, oci::Spec& spec);

class NotifySocket {
public:
    /// To be made before the container's program runs. Nothing where none was offered, or nobody
    /// waits for what it says.
    static Result<std::optional<NotifySocket>> open(const std::string& directory);

    FdView fd() const { return inside_; }
    /// Takes one message. True when the container is ready: the caller has been told so, and that
    /// `pid` is the service's main process. That it could not be told is a warning, as the
    /// container runs.
    bool take(pid_t pid) const;
    /// Until it is ready or the process has ended.
    void wait(const sys::PidRef& process) const;

private:
    NotifySocket(Fd inside, Fd outside)
        : inside_(std::move(inside)), outside_(std::move(outside)) {}
    Fd inside_;   ///< the container's messages come here
    Fd outside_;  ///< connected to the caller's
};

}  // namespace corten::runtime_cli
