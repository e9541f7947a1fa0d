#pragma once
// One live container: its record, its supervisor, and who waits for it. The lock order is
// operation() before anything else; state changes take the inner lock only for a moment, so that
// reads never wait for a start, a stop or a stuck container.
#include "container_record.hpp"

#include <base/sync.hpp>
#include <proto/shim_client.hpp>
#include <sys/poll.hpp>
#include <sys/process.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace corten::engine {

/// A wait in progress.
struct WaitSlot {
    WaitCondition condition;
    sys::Event done;
    Sync<WaitResult> result;
};

class Container {
public:
    Container(ContainerSpec spec, ContainerState state);

    const std::string& id() const { return id_; }
    std::shared_ptr<const ContainerSpec> spec() const;
    std::string name() const { return spec()->name; }
    ContainerState state() const;
    ContainerBrief brief() const;

    void replace_spec(ContainerSpec spec);
    template <typename F>
    void change_state(F&& change) {
        inner_.with([&](Inner& inner) { change(inner.state); });
    }

    /// Held by operations that change the container, one at a time. Never held while waiting for
    /// the container to exit.
    std::mutex& operation() { return operation_; }

    std::shared_ptr<proto::ShimClient> supervisor() const;
    void set_supervisor(std::shared_ptr<proto::ShimClient> client, sys::PidRef process);
    /// Counts the supervisors: what one of them tells is true of its own run only.
    std::uint64_t begin_run() { return ++run_; }
    std::uint64_t current_run() const { return run_; }
    /// Takes the supervisor's process for reaping; the client is forgotten.
    sys::PidRef take_supervisor_process();

    /// While a restart is under way the end of a run is not the end of a --rm container.
    void begin_restart() { ++restarts_; }
    void end_restart() { --restarts_; }
    bool is_being_restarted() const { return restarts_ != 0; }

    /// Registers a wait; one whose condition holds already is done at once.
    Result<std::shared_ptr<WaitSlot>> begin_wait(WaitCondition condition);
    void end_wait(const std::shared_ptr<WaitSlot>& slot);
    void notify_exit(WaitResult result);
    void notify_removed();
    bool is_removed() const;

    void add_exec(const std::string& id);
    void remove_exec(const std::string& id);
    std::vector<std::string> execs() const;

private:
    struct Inner {
        std::shared_ptr<const ContainerSpec> spec;
        ContainerState state;
        std::shared_ptr<proto::ShimClient> supervisor;
        sys::PidRef supervisor_process;
        std::set<std::shared_ptr<WaitSlot>> waits;
        std::set<std::string> execs;
        bool removed = false;
    };
    const std::string id_;
    std::mutex operation_;
    std::atomic<std::uint64_t> run_ = 0;
    std::atomic<int> restarts_ = 0;
    Sync<Inner> inner_;
};

/// not_found for one that was removed while its operation() was waited for.
Result<void> check_present(const Container& container, std::string_view ref);

/// All containers by id and name.
class ContainerTable {
public:
    /// Full id, exact name with or without slash, unique id prefix, in this order; not_found with
    /// docker's text otherwise.
    Result<std::shared_ptr<Container>> find(std::string_view ref) const;
    std::vector<std::shared_ptr<Container>> all() const;

    /// Reserves a name; conflict with docker's text when another container has it.
    Result<void> reserve_name(const std::string& name, const std::string& id);
    void release_name(const std::string& name, const std::string& id);
    void insert(std::shared_ptr<Container> container);
    void erase(const std::string& id);

private:
    struct Tables {
        std::map<std::string, std::shared_ptr<Container>, std::less<>> by_id;
        std::map<std::string, std::string, std::less<>> id_of_name;
    };
    Sync<Tables> tables_;
};

}  // namespace corten::engine
