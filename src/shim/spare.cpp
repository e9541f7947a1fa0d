#include <proto/channel.hpp>
#include <shim/spare.hpp>

#include <unistd.h>

namespace corten::shim {

Result<std::optional<proto::AssignMessage>> wait_for_assignment(FdView control) {
    auto received = TRY(proto::receive(control));
    if (received.end) return std::optional<proto::AssignMessage>();
    if (received.envelope.type != proto::AssignMessage::type)
        return fail(ErrorKind::corrupt, "expected an assignment, found \"{}\"",
                    received.envelope.type);
    auto assigned =
        TRY(from_json<proto::AssignMessage>(received.envelope.body, proto::AssignMessage::type));
    const Fd errors = received.take("errors");
    if (!errors) return fail(ErrorKind::invalid, "an assignment without a place for errors");
    if (::dup2(errors.raw(), STDERR_FILENO) < 0) return fail_errno("write errors to shim.log");
    return std::optional(std::move(assigned));
}

}  // namespace corten::shim
