#include "exec_runner.hpp"

#include "failure_code.hpp"
#include "limits.hpp"
#include "mount_sources.hpp"
#include "security.hpp"
#include "spec_builder.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <proto/detach_keys.hpp>
#include <sys/file.hpp>

#include <csignal>

namespace corten::engine {

namespace {

constexpr std::int64_t probe_output = 4096;

apitypes::ContainerConfig exec_config(const ContainerSpec& spec,
                                      const apitypes::ExecCreateRequest& exec) {
    apitypes::ContainerConfig config = spec.config;
    auto environment = apitypes::items(config.env);
    const auto& more = apitypes::items(exec.env);
    environment.insert(environment.end(), more.begin(), more.end());
    config.env = std::move(environment);
    if (!exec.working_dir.empty()) config.working_dir = exec.working_dir;
    return config;
}

Result<oci::Process> exec_process(Context& context, const Container& container,
                                  const ExecRecord& exec) {
    const auto spec = container.spec();
    const Fd root = TRY(open_live_root(container));
    const std::string& user_name = exec.config.user.empty() ? spec->config.user : exec.config.user;
    const auto user = TRY(resolve_user(root, user_name, apitypes::items(spec->host.group_add)));
    const auto config = exec_config(*spec, exec.config);
    const auto ulimits =
        with_default_ulimits(spec->host, context.config.default_ulimits, context.facts);
    auto process =
        TRY(build_process({.config = config,
                           .host = spec->host,
                           .facts = context.facts,
                           .user = user,
                           .ulimits = ulimits,
                           .args = exec.config.cmd.values(),
                           .terminal = exec.config.tty,
                           .privileged = exec.config.privileged || spec->host.privileged}));
    if (const auto size = exec.console_size)
        process.console_size = oci::ConsoleSize{.height = (*size)[0], .width = (*size)[1]};
    return process;
}

proto::AttachOptions attach_options(const ExecRecord& exec, const ClientStream& client,
                                    const std::string& keys) {
    return {.use_stdin = exec.config.attach_stdin,
            .use_stdout = exec.config.attach_stdout,
            .use_stderr = exec.config.attach_stderr,
            .framed = !exec.config.tty,
            .detach_keys = keys,
            .preread = base64_encode(client.early_bytes)};
}

Result<std::string> exec_detach_keys(const ExecRecord& exec) {
    if (exec.config.detach_keys.empty()) return std::string(proto::default_detach_keys);
    return proto::parse_detach_keys(exec.config.detach_keys);
}

constexpr int cannot_be_executed = 126;

class ExecStart {
public:
    ExecStart(Context& context, ExecRecord exec, std::shared_ptr<Container> container)
        : context_(context), exec_(std::move(exec)), container_(std::move(container)) {}

    Result<proto::ExecReply> send(const ClientStream* client, std::int64_t capture) {
        const auto supervisor = container_->supervisor();
        if (!supervisor || !container_->state().is_running())
            return fail(ErrorKind::conflict, "container {} is not running", container_->id());
        proto::ExecRequest request;
        request.exec_id = exec_.id;
        request.process = dump_json(to_json(TRY(exec_process(context_, *container_, exec_))));
        request.terminal = exec_.config.tty;
        request.open_stdin = exec_.config.attach_stdin;
        request.capture = capture;
        if (const auto size = exec_.console_size)
            request.console = {.height = static_cast<std::uint16_t>((*size)[0]),
                               .width = static_cast<std::uint16_t>((*size)[1])};
        std::vector<proto::RoleFd> fds;
        if (client) {
            request.attach = attach_options(exec_, *client, TRY(exec_detach_keys(exec_)));
            fds.push_back({"client", client->socket});
        }
        const Fd filter = TRY(seccomp_program());
        if (filter) fds.push_back({"seccomp", filter});
        return supervisor->call(request, fds);
    }

private:
    Result<Fd> seccomp_program() {
        const auto& host = container_->spec()->host;
        const auto options = TRY(parse_security_options(host));
        if (!wants_seccomp(options, host.privileged || exec_.config.privileged)) return Fd();
        return context_.seccomp.program(options.seccomp_profile,
                                        TRY(capabilities_of(host, context_.facts)));
    }

    Context& context_;
    ExecRecord exec_;
    std::shared_ptr<Container> container_;
};

/// Of two starts at once one gets it.
Result<void> claim(Context& context, const std::string& exec_id) {
    bool claimed = false;
    context.execs.change(exec_id, [&](ExecRecord& record) {
        claimed = !record.started;
        record.started = true;
        if (claimed) record.running = true;
    });
    if (claimed) return {};
    return fail(ErrorKind::conflict, "exec instance {} is already running", exec_id);
}

std::map<std::string, std::string> exec_attributes(const std::string& id) {
    return {{"execID", id}};
}

}  // namespace

std::string framed(int stream, std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    std::string out(8, '\0');
    out[0] = static_cast<char>(stream);
    for (int i = 0; i < 4; ++i) out[4 + i] = static_cast<char>(size >> (24 - 8 * i) & 0xff);
    out += text;
    return out;
}

Result<void> run_exec(Context& context, const std::string& exec_id,
                      std::optional<ClientStream> client) {
    const ExecRecord exec = TRY(context.execs.find(exec_id));
    const auto container = TRY(context.containers.find(exec.container_id));
    const auto spec = container->spec();
    TRY(claim(context, exec_id));
    publish_container_event(context, *spec, "exec_start: " + join(exec.config.cmd.values(), " "),
                            exec_attributes(exec_id));
    const auto reply = ExecStart(context, exec, container).send(client ? &*client : nullptr, 0);
    if (reply) {
        context.execs.change(
            exec_id, [&](ExecRecord& record) { record.pid = static_cast<int>(reply->pid); });
        return {};
    }
    context.execs.end(exec_id, failure_code(reply.error(), cannot_be_executed));
    container->remove_exec(exec_id);
    if (!client) return reply.error();
    const std::string text =
        fmt::format("OCI runtime exec failed: {}\r\n", reply.error().message());
    // The client may be gone; there is nobody else to tell.
    sys::write_all(client->socket, exec.config.tty ? text : framed(2, text)).ignore();
    return {};
}

void handle_exec_exit(Context& context, Container& container, const proto::ExecExitedEvent& event) {
    context.execs.end(event.exec_id, event.code);
    container.remove_exec(event.exec_id);
    auto attributes = exec_attributes(event.exec_id);
    attributes["exitCode"] = std::to_string(event.code);
    publish_container_event(context, *container.spec(), "exec_die", attributes);
    context.probes.finish(event.exec_id, event);
}

Result<ProbeOutcome> run_probe(Context& context, const std::shared_ptr<Container>& container,
                               std::vector<std::string> command, sys::Milliseconds timeout) {
    ExecRecord exec;
    exec.id = random_id();
    exec.container_id = container->id();
    exec.config.cmd.list = command;
    exec.config.attach_stdout = exec.config.attach_stderr = true;
    const auto waiting = TRY(context.probes.begin(exec.id));
    Rollback forget;
    forget.add([&] { context.probes.cancel(exec.id); });
    const auto spec = container->spec();
    const std::string line = join(command, " ");
    publish_container_event(context, *spec, "exec_create: " + line, exec_attributes(exec.id));
    publish_container_event(context, *spec, "exec_start: " + line, exec_attributes(exec.id));
    TRY(ExecStart(context, exec, container).send(nullptr, probe_output));
    const FdView fds[] = {waiting->done.fd(), context.ending.fd()};
    const auto ready = TRY(sys::wait_readable(fds, timeout));
    if (ready == 1U) return fail(ErrorKind::cancelled, "the daemon is ending");
    if (!ready) {
        if (const auto supervisor = container->supervisor())
            TRY(supervisor->call(proto::SignalRequest{.exec_id = exec.id, .number = SIGKILL}));
        return ProbeOutcome{.timed_out = true};
    }
    return waiting->event.with([](const proto::ExecExitedEvent& event) -> Result<ProbeOutcome> {
        return ProbeOutcome{.exit_code = event.code, .output = TRY(base64_decode(event.output))};
    });
}

}  // namespace corten::engine
