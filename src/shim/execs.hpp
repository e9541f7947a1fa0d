#pragma once
// The processes that were executed in a running container, each with a session of its own.
#include "control.hpp"
#include "session.hpp"

#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <proto/shim_messages.hpp>
#include <runtime/exec.hpp>
#include <sys/loop.hpp>

#include <cgroup/group.hpp>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corten::shim {

/// What an exec needs of the container it goes into.
struct ExecTarget {
    std::string id;
    std::string bundle;
    const sys::PidRef* init = nullptr;
    cgroup::Group cgroup;
    std::optional<oci::LinuxSeccomp> seccomp;
    FdView seccomp_program;
};

class Execs {
public:
    Execs(sys::Loop& loop, Control& control, std::function<void()> on_client_closed)
        : loop_(loop), control_(control), on_client_closed_(std::move(on_client_closed)) {}

    Result<proto::ExecReply> start(const ExecTarget& target, proto::ExecRequest request,
                                   proto::Received& received);
    /// not_found for an exec that does not run.
    Result<Session*> session(const std::string& exec_id);
    Result<void> signal(const std::string& exec_id, int number);
    /// Running ones, and the latest that ended.
    std::vector<proto::ExecState> states() const;
    std::size_t client_count() const;
    /// The container is dead: what still holds a stream is not waited for.
    void finish_clients();

private:
    struct Exec {
        std::unique_ptr<Session> session;
        sys::OwnedChild child;
        sys::Loop::Watch watch;
        pid_t pid = 0;
        std::optional<std::int32_t> code;
        bool drained = false;
    };

    Result<void> launch(const ExecTarget& target, const proto::ExecRequest& request, Fd program,
                        Exec& exec);
    std::unique_ptr<Session> make_session(const std::string& exec_id);
    void on_exit(const std::string& exec_id);
    void on_drained(const std::string& exec_id);
    void sweep();

    sys::Loop& loop_;
    Control& control_;
    std::function<void()> on_client_closed_;
    std::map<std::string, Exec> execs_;
    std::deque<proto::ExecState> ended_;
    sys::Loop::Timer sweep_;
};

}  // namespace corten::shim
