#include "clone_inside.hpp"

#include "channel.hpp"

#include <sys/socket.hpp>

#include <sched.h>
#include <unistd.h>

namespace corten::runtime {

Result<std::optional<sys::PidRef>> clone_inside(const std::vector<Birthplace>& places,
                                                sys::CloneRequest request) {
    request.flags |= CLONE_PARENT;
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::seqpacket));
    auto between = TRY(sys::clone_process({}));
    if (!between) {
        const auto make = [&]() -> Result<std::optional<sys::PidRef>> {
            for (const auto& place : places)
                TRY(sys::enter_namespaces(place.namespaces, place.types));
            return sys::clone_process(request);
        };
        const auto made = make();
        if (made && !*made) return std::optional<sys::PidRef>();
        const auto told = made ? send(theirs, Signal::ready, "", {(*made)->fd()})
                               : send(theirs, Signal::error, pack(made.error()));
        ::_exit(told ? 0 : 1);
    }
    theirs.reset();
    sys::OwnedChild helper(std::move(*between));
    auto answer = TRY(receive(ours));
    TRY(helper.wait());
    if (answer.closed) return fail(ErrorKind::io, "the helper died");
    if (answer.signal == Signal::error) return unpack(answer.payload);
    if (answer.fds.empty()) return fail(ErrorKind::internal, "no process came from the helper");
    const pid_t pid = TRY(sys::pid_of(answer.fds[0]));
    return std::optional<sys::PidRef>(sys::PidRef(pid, std::move(answer.fds[0])));
}

}  // namespace corten::runtime
