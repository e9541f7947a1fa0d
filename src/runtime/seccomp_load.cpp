#include "seccomp_load.hpp"

#include <oci/runtime_spec.hpp>
#include <sys/socket.hpp>
#include <sys/syscall.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <unistd.h>

#include <cerrno>

namespace corten::runtime {
namespace {

/// What the listener reads beside the descriptor (config-linux.md, "The Container Process State").
struct ContainerProcessState {
    std::string oci_version;
    std::vector<std::string> fds{"seccompFd"};
    std::int32_t pid = 0;
    std::string metadata;
    oci::State state;
    static constexpr void fields(auto visit) {
        visit(field("ociVersion", &ContainerProcessState::oci_version),
              field("fds", &ContainerProcessState::fds), field("pid", &ContainerProcessState::pid),
              omit_empty("metadata", &ContainerProcessState::metadata),
              field("state", &ContainerProcessState::state));
    }
};

std::string describe(const ProcessPlan& plan) {
    ContainerProcessState description;
    description.oci_version = plan.container.oci_version;
    description.pid = plan.pid;
    description.metadata = plan.seccomp->listener_metadata;
    description.state = plan.container;
    return dump_json(to_json(description));
}

}  // namespace

Result<void> connect_listener(SeccompPlan& plan) {
    if ((plan.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0) return {};
    plan.listener =
        TRY(sys::connect_unix(plan.listener_path, sys::SocketType::stream)
                .context("linux.seccomp.listenerPath: failed to connect with seccomp agent"));
    return {};
}

Result<void> load_filter(ProcessPlan& plan) {
    auto& seccomp = *plan.seccomp;
    const bool notify = (seccomp.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
    const std::string text = notify ? describe(plan) : "";
    sock_fprog program{};
    program.len = static_cast<unsigned short>(seccomp.program.size() / sizeof(sock_filter));
    program.filter = reinterpret_cast<sock_filter*>(seccomp.program.data());
    const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, seccomp.flags, &program);
    if (result < 0) return fail_errno("linux.seccomp: load the filter");
    if (!notify) return {};
    const Fd descriptor(static_cast<int>(result));
    // One sendmsg, as listeners expect it.
    return sys::send_message(seccomp.listener, text, {FdView(descriptor)})
        .context("linux.seccomp.listenerPath: hand over the descriptor");
}

}  // namespace corten::runtime
