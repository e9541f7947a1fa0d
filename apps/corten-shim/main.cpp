// corten-shim RUNTIME_DIRECTORY [CGROUP_PATH]: the supervisor of one container. Started by cortend
// with its control socket as descriptor 3.
#include <base/log.hpp>
#include <proto/shim_files.hpp>
#include <shim/supervisor.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace {

/// Invalid when it was started by hand: it can then be reached by its socket only.
corten::Fd inherited_control() {
    const int fd = corten::proto::control_descriptor;
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return corten::Fd();
    return corten::Fd(fd);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        corten::log::error("usage: corten-shim RUNTIME_DIRECTORY [CGROUP_PATH]");
        return 2;
    }
    const auto ended =
        corten::shim::supervise(argv[1], argc == 3 ? argv[2] : "", inherited_control());
    if (ended) return 0;
    corten::log::error("supervisor {}: {}", argv[1], ended.error().message());
    return 1;
}
