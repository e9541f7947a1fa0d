#include <sys/file.hpp>
#include <sys/namespaces.hpp>

#include <fcntl.h>
#include <sched.h>

#include <thread>

namespace corten::sys {

Result<Fd> current_network_namespace() {
    return open("/proc/thread-self/ns/net", O_RDONLY);
}

Result<Fd> network_namespace_of(pid_t pid) {
    return open(fmt::format("/proc/{}/ns/net", pid), O_RDONLY);
}

Result<void> enter_network_namespace(FdView network_namespace) {
    if (::setns(network_namespace.raw(), CLONE_NEWNET) < 0)
        return fail_errno("enter network namespace");
    return {};
}

Result<void> unshare_network_namespace() {
    if (::unshare(CLONE_NEWNET) < 0) return fail_errno("make a network namespace");
    return {};
}

Result<void> in_network_namespace(FdView network_namespace,
                                  const std::function<Result<void>()>& work) {
    Result<void> outcome;
    std::thread([&] {
        outcome = enter_network_namespace(network_namespace);
        if (outcome) outcome = work();
    }).join();
    return outcome;
}

Result<std::uint64_t> namespace_identity(FdView network_namespace) {
    struct ::stat status{};
    if (::fstat(network_namespace.raw(), &status) < 0) return fail_errno("stat of a namespace");
    return std::uint64_t{status.st_ino};
}

}  // namespace corten::sys
