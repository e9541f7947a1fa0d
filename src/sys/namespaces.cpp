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

namespace {

Result<void> enter_mount_namespace(FdView mount_namespace) {
    // Root and working directory change with it, which threads share otherwise.
    if (::unshare(CLONE_FS) < 0) return fail_errno("unshare the root directory");
    if (::setns(mount_namespace.raw(), CLONE_NEWNS) < 0) return fail_errno("enter mount namespace");
    return {};
}

Result<void> on_own_thread(const std::function<Result<void>()>& enter,
                           const std::function<Result<void>()>& work) {
    Result<void> outcome;
    std::thread([&] {
        outcome = enter();
        if (outcome) outcome = work();
    }).join();
    return outcome;
}

}  // namespace

Result<void> in_network_namespace(FdView network_namespace,
                                  const std::function<Result<void>()>& work) {
    return on_own_thread([&] { return enter_network_namespace(network_namespace); }, work);
}

Result<void> in_mount_namespace(FdView mount_namespace, const std::function<Result<void>()>& work) {
    return on_own_thread([&] { return enter_mount_namespace(mount_namespace); }, work);
}

Result<std::uint64_t> namespace_identity(FdView network_namespace) {
    struct ::stat status{};
    if (::fstat(network_namespace.raw(), &status) < 0) return fail_errno("stat of a namespace");
    return std::uint64_t{status.st_ino};
}

}  // namespace corten::sys
