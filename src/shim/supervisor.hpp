#pragma once
#include "control.hpp"
#include "execs.hpp"
#include "session.hpp"

#include <base/fd.hpp>
#include <base/result.hpp>
#include <oci/runtime_spec.hpp>
#include <proto/shim_files.hpp>
#include <proto/shim_messages.hpp>
#include <runtime/container.hpp>
#include <shim/supervisor.hpp>
#include <sys/loop.hpp>

#include <logfile/writer.hpp>

#include <optional>
#include <string>

namespace corten::shim {

class Supervisor {
public:
    /// `directory` is the container's runtime directory.
    /// `cgroup_path` is where its group will be, "" when that is not known yet.
    Supervisor(sys::Loop& loop, std::string directory, std::string cgroup_path);
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;

    Result<void> open(Fd control);
    std::string socket_path() const { return proto::control_socket_in(directory_); }

private:
    void install_handlers();
    void make_group_early();
    void drop_early_group();

    Result<proto::StartReply> start(proto::StartRequest request, proto::Received& received);
    void rest_soon();
    Result<proto::StartReply> launch(const proto::StartRequest& request, proto::Received& received);
    Result<void> open_log(const proto::LogConfig& config);
    Result<runtime::LaunchRequest> launch_request(const proto::StartRequest& request,
                                                  proto::Received& received);
    Result<void> watch_init();
    void undo_start();

    Result<proto::Empty> attach(const proto::AttachRequest& request, proto::Received& received);
    Result<proto::ExecReply> exec(proto::ExecRequest request, proto::Received& received);
    Result<proto::Empty> resize(const proto::ResizeRequest& request);
    Result<proto::Empty> signal(const proto::SignalRequest& request);
    Result<proto::Empty> close_stdin(const proto::CloseStdinRequest& request);
    Result<proto::Empty> reopen_log();
    Result<proto::StateReply> state();
    Result<proto::Empty> release();
    Result<Session*> session_of(const std::string& exec_id);
    Result<void> check_running() const;

    void on_init_exit();
    void write_exit_file();
    void announce_exit();
    void on_oom();
    void report_lost_log(const std::string& reason);
    std::size_t client_count() const;
    void leave();
    void consider_leaving();
    void leave_unasked();

    sys::Loop& loop_;
    std::string directory_;
    std::string cgroup_path_;
    std::string id_;
    std::string exit_file_;
    std::optional<logfile::Writer> log_;
    Control control_;
    Session session_;  // uses log_
    Execs execs_;
    std::optional<cgroup::Group> early_group_;  // until a container owns it
    sys::Loop::Timer early_;
    std::optional<runtime::Created> created_;
    std::optional<oci::LinuxSeccomp> seccomp_;  // for execs
    Fd seccomp_program_;
    sys::Loop::Watch init_watch_;
    Fd oom_;
    sys::Loop::Watch oom_watch_;
    sys::Loop::Timer leaving_;
    sys::Loop::Timer rest_;
    std::uint64_t oom_kills_ = 0;
    std::int64_t pid_ = 0;
    std::int64_t started_at_ = 0;  // nanoseconds since the epoch
    std::optional<proto::ExitRecord> exit_;
    bool exit_announced_ = false;
    bool released_ = false;
};

}  // namespace corten::shim
