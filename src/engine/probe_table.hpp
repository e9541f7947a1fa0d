#pragma once
// Health probes that run: who started one waits here for its end.
#include <base/sync.hpp>
#include <proto/shim_messages.hpp>
#include <sys/poll.hpp>

#include <map>
#include <memory>
#include <string>

namespace corten::engine {

struct RunningProbe {
    sys::Event done;
    Sync<proto::ExecExitedEvent> event;
};

class ProbeTable {
public:
    Result<std::shared_ptr<RunningProbe>> begin(const std::string& exec_id) {
        auto done = TRY(sys::Event::create());
        auto probe =
            std::shared_ptr<RunningProbe>(new RunningProbe{.done = std::move(done), .event = {}});
        probes_.with([&](auto& probes) { probes[exec_id] = probe; });
        return probe;
    }
    /// Does nothing for execs that are no probes.
    void finish(const std::string& exec_id, const proto::ExecExitedEvent& event) {
        probes_.with([&](auto& probes) {
            const auto at = probes.find(exec_id);
            if (at == probes.end()) return;
            at->second->event.with([&](proto::ExecExitedEvent& kept) { kept = event; });
            at->second->done.set();
            probes.erase(at);
        });
    }
    void cancel(const std::string& exec_id) {
        probes_.with([&](auto& probes) { probes.erase(exec_id); });
    }

private:
    Sync<std::map<std::string, std::shared_ptr<RunningProbe>>> probes_;
};

}  // namespace corten::engine
