#pragma once
// Execs are not kept on disk: they end with the supervisor that knows them, and after a restart of
// the daemon the supervisor tells of the ones that run.
#include <apitypes/exec.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace corten::engine {

struct ExecRecord {
    std::string id;
    std::string container_id;
    apitypes::ExecCreateRequest config;
    bool started = false;
    bool running = false;
    int pid = 0;
    std::optional<int> exit_code;
    std::optional<std::array<unsigned, 2>> console_size;
};

class ExecTable {
public:
    void insert(ExecRecord record);
    /// not_found "No such exec instance: x".
    Result<ExecRecord> find(std::string_view id) const;
    /// False when there is no such exec any more.
    template <typename F>
    bool change(const std::string& id, F&& change) {
        return execs_.with([&](Execs& execs) {
            const auto at = execs.by_id.find(id);
            if (at == execs.by_id.end()) return false;
            change(at->second);
            return true;
        });
    }
    /// Forgets the oldest ended ones beyond the last 1024, so that health checks do not pile up.
    void note_ended(const std::string& id);
    void erase(const std::string& id);
    void erase_of(const std::string& container_id);

private:
    struct Execs {
        std::map<std::string, ExecRecord, std::less<>> by_id;
        std::deque<std::string> ended;
    };
    Sync<Execs> execs_;
};

}  // namespace corten::engine
