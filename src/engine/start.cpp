// Starting a container. Each step is undone when a later one fails.
#include "failure_code.hpp"
#include "health.hpp"
#include "lifecycle.hpp"
#include "limits.hpp"
#include "mount_sources.hpp"
#include "network_attach.hpp"
#include "network_files.hpp"
#include "security.hpp"
#include "spec_builder.hpp"
#include "state_change.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <proto/shim_files.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>

#include <fcntl.h>

#include <algorithm>

namespace corten::engine::lifecycle {

namespace {

using Clock = std::chrono::steady_clock;

/// Measures the phases of a start, for `corten explain`.
class Phases {
public:
    void note(const std::string& name) {
        const auto at = Clock::now();
        times_[name] += std::chrono::duration<double, std::milli>(at - last_).count();
        last_ = at;
    }
    std::map<std::string, double> times_;

private:
    Clock::time_point last_ = Clock::now();
};

/// Descriptors that go along with the start request.
struct StartFds {
    std::vector<Fd> owned;
    std::vector<proto::RoleFd> roles;
    void add(std::string role, Fd fd) {
        roles.push_back({std::move(role), fd});
        owned.push_back(std::move(fd));
    }
};

class Start {
public:
    Start(Context& context, std::shared_ptr<Container> container, StartReason reason)
        : context_(context),
          container_(std::move(container)),
          spec_(container_->spec()),
          reason_(reason) {}

    Result<void> run() {
        Rollback undo;
        const auto client = TRY(ensure_supervisor(context_, container_));
        undo.add([this] { release_supervisor(context_, *container_); });
        phases_.note("supervisor");
        undo.add([this] { leave_networks(context_, endpoints_); });
        TRY(join_networks());
        phases_.note("network");
        TRY(write_network_files(context_, *spec_, endpoints_));
        undo.add([this] { context_.volume_mounts.release(spec_->id); });
        TRY(open_root());
        phases_.note("files");
        auto spec = TRY(build());
        TRY(validate(spec));
        if (spec.process->apparmor_profile == default_apparmor_profile)
            TRY(context_.apparmor.ensure_loaded(context_.facts));
        TRY(add_seccomp());
        phases_.note("spec");
        TRY(record_endpoints());
        phases_.note("record");
        const auto reply = TRY(client->call(request(spec), fds_.roles));
        // Now it runs: its end comes before that of what it uses.
        undo.add([this] { release_supervisor(context_, *container_); });
        phases_.note("supervisor-start");
        for (const auto& phase : reply.phases)
            phases_.times_["runtime/" + phase.name] =
                static_cast<double>(phase.microseconds) / 1000;
        TRY(record_running(reply));
        undo.commit();
        return {};
    }

private:
    Result<void> join_networks() {
        auto joined = TRY(enter_networks(context_, *spec_));
        endpoints_ = std::move(joined.endpoints);
        if (joined.network_namespace) fds_.add("network", std::move(joined.network_namespace));
        TRY(join_of(spec_->host.pid_mode, "pid"));
        TRY(join_of(spec_->host.ipc_mode, "ipc"));
        return {};
    }

    /// --pid, --ipc container:X: that container's namespace.
    Result<void> join_of(const std::string& mode, const std::string& type) {
        if (!is_container_mode(mode)) return {};
        const auto other = TRY(running_container(context_, container_of_mode(mode)));
        fds_.add("ns:" + type, TRY(open_namespace(*other, type)));
        return {};
    }

    Result<void> open_root() {
        // Writable also for --read-only: the runtime makes missing mount points before it closes
        // it.
        root_ = TRY(context_.store->snapshots().mount(container_->id()));
        std::vector<std::string> groups = apitypes::items(spec_->host.group_add);
        user_ = TRY(resolve_user(root_, spec_->config.user, groups));
        mounts_ = TRY(mount_sources(context_, *spec_, root_));
        for (auto& mount : mounts_)
            if (mount.object) fds_.add("mount:" + mount.plan.target, std::move(mount.object));
        shm_source_ = TRY(shared_memory_source(context_, *spec_));
        return {};
    }

    Result<oci::Spec> build() {
        // As with docker nothing is put before the command where it is not PID 1.
        const bool init = spec_->host.init.value_or(false) && spec_->host.pid_mode.empty();
        return build_spec({.container = *spec_,
                           .facts = context_.facts,
                           .user = user_,
                           .mounts = mounts_,
                           .files = TRY(network_files_of(context_, *spec_)),
                           .cgroup_path = cgroup_path_of(context_, *spec_),
                           .shm_source = shm_source_,
                           .init_program = init ? context_.config.init_program : "",
                           .ulimits = with_default_ulimits(
                               spec_->host, context_.config.default_ulimits, context_.facts)});
    }

    Result<void> add_seccomp() {
        const auto options = TRY(parse_security_options(spec_->host));
        if (wants_seccomp(options, spec_->host.privileged)) {
            const auto capabilities = TRY(capabilities_of(spec_->host, context_.facts));
            fds_.add("seccomp",
                     TRY(context_.seccomp.program(options.seccomp_profile, capabilities)));
        }
        fds_.add("rootfs", std::move(root_));
        return {};
    }

    proto::StartRequest request(const oci::Spec& spec) const {
        const auto& config = spec_->config;
        const auto console = spec_->host.console_size;
        proto::StartRequest out;
        out.id = spec_->id;
        out.spec = dump_json(to_json(spec));
        out.terminal = config.tty;
        out.open_stdin = config.open_stdin;
        out.stdin_once = config.stdin_once;
        out.console = {.height = static_cast<std::uint16_t>(console[0]),
                       .width = static_cast<std::uint16_t>(console[1])};
        out.log = log_config();
        out.exit_file = proto::exit_file_in(context_.runtime_directory(spec_->id));
        return out;
    }

    proto::LogConfig log_config() const {
        const auto& log = spec_->host.log_config;
        proto::LogConfig out;
        if (log.type == "none") return out;
        out.path = context_.log_of(spec_->id);
        // Checked at create.
        if (const auto size = log.config.find("max-size"); size != log.config.end())
            out.max_size = parse_size(size->second, "max-size").value_or(-1);
        if (const auto files = log.config.find("max-file"); files != log.config.end())
            out.max_file = static_cast<int>(parse_integer(files->second, "max-file").value_or(1));
        return out;
    }

    /// A daemon that dies during the start must know what to give back.
    Result<void> record_endpoints() {
        return change_and_keep(context_.container_store, *container_, [&](ContainerState& state) {
            state.endpoints = endpoints_;
            state.cgroup_path = cgroup_path_of(context_, *spec_);
            state.sandbox_id = endpoints_.empty() ? "" : random_id();
        });
    }

    Result<void> record_running(const proto::StartReply& reply) {
        return change_and_keep(context_.container_store, *container_, [&](ContainerState& state) {
            state.status = "running";
            state.pid = static_cast<int>(reply.pid);
            state.started_at = reply.started_at;
            state.exit_code = 0;
            state.error.clear();
            state.oom_killed = false;
            state.stopped_by_user = false;
            state.timings_ms = phases_.times_;
            state.health = initial_health(spec_->config);
            if (reason_ == StartReason::asked) state.restart_count = state.restart_delay_ms = 0;
        });
    }

    Context& context_;
    std::shared_ptr<Container> container_;
    std::shared_ptr<const ContainerSpec> spec_;
    StartReason reason_;
    Phases phases_;
    StartFds fds_;
    std::vector<network::Endpoint> endpoints_;
    Fd root_;
    ResolvedUser user_;
    std::vector<ResolvedMount> mounts_;
    std::string shm_source_;
};

constexpr int failed_to_start = 128;

Result<void> check_startable(const Container& container) {
    const auto state = container.state();
    if (state.status == "paused")
        return fail(ErrorKind::conflict, "cannot start a paused container, try unpause instead");
    if (state.status == "running")
        return fail(ErrorKind::not_modified, "container is already running");
    if (state.status == "removing" || container.is_removed())
        return fail(ErrorKind::conflict, "container is marked for removal and cannot be started");
    return {};
}

/// Nobody who waits for an exit is told, because there was none: the starter gets the error.
void record_failure(Context& context, Container& container, const Error& error, int code) {
    const bool was_restarting = container.state().status == "restarting";
    note_change(context, container, [&](ContainerState& state) {
        state.exit_code = code;
        state.error = error.message();
        state.endpoints.clear();
        if (state.status == "restarting") state.status = "exited";
    });
    if (was_restarting) container.notify_exit({.exit_code = code, .error = error.message()});
}

}  // namespace

Result<void> start(Context& context, const std::shared_ptr<Container>& container,
                   StartReason reason) {
    std::unique_lock operation(container->operation());
    TRY(check_startable(*container));
    const auto spec = container->spec();
    auto started = Start(context, container, reason).run();
    if (!started) {
        const int code = failure_code(started.error(), failed_to_start);
        record_failure(context, *container, started.error(), code);
        if (spec->host.auto_remove) {
            operation.unlock();
            remove(context, container, {.force = true, .volumes = true})
                .ignore();  // the start's error counts
        }
        // What is wrong with the command is the asker's mistake.
        if (code != failed_to_start)
            return fail(ErrorKind::invalid, "{}", started.error().message());
        return started.error();
    }
    publish_network_events(context, "connect", *spec, container->state().endpoints);
    publish_container_event(context, *spec, "start");
    begin_health_checks(context, container);
    return {};
}

}  // namespace corten::engine::lifecycle
