#include "spare_supervisors.hpp"

#include <proto/shim_files.hpp>
#include <sys/socket.hpp>

#include <unistd.h>

namespace corten::engine {

Result<StartedSupervisor> spawn_supervisor(const std::string& program,
                                           std::vector<std::string> arguments, FdView errors) {
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::seqpacket));
    auto process =
        TRY(sys::spawn({.program = program,
                        .arguments = std::move(arguments),
                        .environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
                        .fds = {{errors, STDERR_FILENO}, {theirs, proto::control_descriptor}},
                        .argv0 = "corten-shim",
                        .new_session = true}));
    return StartedSupervisor{.process = std::move(process), .control = std::move(ours)};
}

bool SpareSupervisors::has(std::size_t wanted) const {
    return waiting_.with([&](const auto& waiting) { return waiting.size() >= wanted; });
}

void SpareSupervisors::add(StartedSupervisor spare) {
    waiting_.with([&](auto& waiting) { waiting.push_back(std::move(spare)); });
}

std::optional<StartedSupervisor> SpareSupervisors::take() {
    for (;;) {
        auto spare = waiting_.with([](auto& waiting) -> std::optional<StartedSupervisor> {
            if (waiting.empty()) return {};
            auto last = std::move(waiting.back());
            waiting.pop_back();
            return last;
        });
        if (!spare || !spare->process.process().has_exited()) return spare;
    }
}

}  // namespace corten::engine
