// corten-shim RUNTIME_DIRECTORY [CGROUP_PATH]: the supervisor of one container. Started by cortend
// with its control socket as descriptor 3.
// corten-shim --spare PLACEHOLDER: the same, started before it is known whose it will be; the
// placeholder leaves room for the directory in the list of processes.
#include <base/log.hpp>
#include <proto/shim_files.hpp>
#include <shim/spare.hpp>
#include <shim/supervisor.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <span>
#include <string_view>

namespace {

using corten::Fd;
using corten::Result;

/// Invalid when it was started by hand: it can then be reached by its socket only.
Fd inherited_control() {
    const int fd = corten::proto::control_descriptor;
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return Fd();
    return Fd(fd);
}

/// The arguments lie one behind the other, which is what /proc/PID/cmdline shows.
void show_as_argument(std::span<char*> arguments, std::string_view text) {
    char* const begin = arguments.front();
    char* const end = arguments.back() + std::strlen(arguments.back());
    const auto room = static_cast<std::size_t>(end - begin);
    std::memset(begin, 0, room);
    std::memcpy(begin, text.data(), std::min(room, text.size()));
}

Result<void> wait_and_supervise(std::span<char*> arguments) {
    Fd control = inherited_control();
    const auto assigned = TRY(corten::shim::wait_for_assignment(control));
    if (!assigned) return {};
    show_as_argument(arguments, assigned->directory);
    return corten::shim::supervise(assigned->directory, assigned->cgroup_path, std::move(control));
}

int report(const Result<void>& ended, const char* name) {
    if (ended) return 0;
    corten::log::error("supervisor {}: {}", name, ended.error().message());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        corten::log::error("usage: corten-shim RUNTIME_DIRECTORY [CGROUP_PATH]");
        return 2;
    }
    if (argc == 3 && std::string_view(argv[1]) == "--spare")
        return report(wait_and_supervise({argv + 1, 2}), argv[1]);
    return report(corten::shim::supervise(argv[1], argc == 3 ? argv[2] : "", inherited_control()),
                  argv[1]);
}
