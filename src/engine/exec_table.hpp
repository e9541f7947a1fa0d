#pragma once
// Execs are not kept on disk: after a restart of the daemon the supervisor tells of the ones that
// it knows. How one ended can be asked until its container is removed.
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
    /// It runs no more. Of those that ended the last 1024 are known.
    void end(const std::string& id, int code);
    /// With their container those that run end, and those that were never started are forgotten.
    void end_with(const std::string& container_id, int code);
    bool any_runs_in(const std::string& container_id) const;
    void erase_of(const std::string& container_id);

private:
    struct Execs {
        std::map<std::string, ExecRecord, std::less<>> by_id;
        std::deque<std::string> ended;  ///< those with an exit code, in that order
        void end(ExecRecord& record, int code);
        void forget_old();
    };
    Sync<Execs> execs_;
};

}  // namespace corten::engine
