#include "exec_runner.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>
#include <engine/execs.hpp>
#include <proto/detach_keys.hpp>

namespace corten::engine {

namespace {

Result<std::shared_ptr<Container>> executable_container(Context& context, std::string_view ref) {
    auto container = TRY(context.containers.find(ref));
    const auto state = container->state();
    if (state.status == "paused")
        return fail(ErrorKind::conflict,
                    "container {} is paused, unpause the container before exec", ref);
    if (state.status == "restarting")
        return fail(ErrorKind::conflict,
                    "container {} is restarting, wait until the container is running", ref);
    if (!state.is_running())
        return fail(ErrorKind::conflict, "container {} is not running", container->id());
    return container;
}

class ExecAttachment final : public Attachment {
public:
    ExecAttachment(Context& context, std::string id, bool tty)
        : context_(context), id_(std::move(id)), tty_(tty) {}
    bool tty() const override { return tty_; }
    Result<void> connect(ClientStream client) override {
        return run_exec(context_, id_, std::move(client));
    }

private:
    Context& context_;
    std::string id_;
    bool tty_;
};

Result<void> check_not_started(const ExecRecord& exec) {
    if (exec.exit_code)
        return fail(ErrorKind::conflict, "exec instance {} has already run", exec.id);
    if (exec.started)
        return fail(ErrorKind::conflict, "exec instance {} is already running", exec.id);
    return {};
}

}  // namespace

Execs::Execs(Context& context) : context_(context) {}

Result<std::string> Execs::create(std::string_view container_ref,
                                  apitypes::ExecCreateRequest config) {
    const auto container = TRY(executable_container(context_, container_ref));
    if (config.cmd.empty()) return fail(ErrorKind::invalid, "No exec command specified");
    if (!config.detach_keys.empty()) TRY(proto::parse_detach_keys(config.detach_keys));
    if (!config.working_dir.empty() && !config.working_dir.starts_with('/'))
        return fail(ErrorKind::invalid,
                    "the working directory '{}' is invalid, it needs to be an absolute path",
                    config.working_dir);
    ExecRecord record;
    record.id = random_id();
    record.container_id = container->id();
    record.console_size = config.console_size;
    record.config = std::move(config);
    std::string id = record.id;
    const std::string line = join(record.config.cmd.values(), " ");
    context_.execs.insert(std::move(record));
    container->add_exec(id);
    publish_container_event(context_, *container->spec(), "exec_create: " + line, {{"execID", id}});
    return id;
}

Result<std::unique_ptr<Attachment>> Execs::prepare_start(
    std::string_view exec_id, const apitypes::ExecStartRequest& request) {
    const auto exec = TRY(context_.execs.find(exec_id));
    TRY(executable_container(context_, exec.container_id));
    TRY(check_not_started(exec));
    if (request.console_size)
        context_.execs.change(
            exec.id, [&](ExecRecord& record) { record.console_size = request.console_size; });
    return std::unique_ptr<Attachment>(
        std::make_unique<ExecAttachment>(context_, exec.id, exec.config.tty));
}

Result<void> Execs::start_detached(std::string_view exec_id) {
    const auto exec = TRY(context_.execs.find(exec_id));
    TRY(executable_container(context_, exec.container_id));
    TRY(check_not_started(exec));
    return run_exec(context_, exec.id, {});
}

Result<void> Execs::resize(std::string_view exec_id, std::uint16_t rows, std::uint16_t columns) {
    const auto exec = TRY(context_.execs.find(exec_id));
    // Clients send it right after the start request: what comes early is the size to start with.
    if (!exec.running || exec.pid == 0) {
        context_.execs.change(exec.id,
                              [&](ExecRecord& record) { record.console_size = {{rows, columns}}; });
        if (!exec.started) return {};
    }
    const auto container = TRY(context_.containers.find(exec.container_id));
    const auto supervisor = container->supervisor();
    if (!supervisor)
        return fail(ErrorKind::conflict, "container {} is not running", container->id());
    for (int attempt = 0;; ++attempt) {
        auto resized = supervisor->call(
            proto::ResizeRequest{.exec_id = exec.id, .size = {.height = rows, .width = columns}});
        const bool gone = !TRY(context_.execs.find(exec.id)).running;
        if (resized || gone || resized.error().kind() != ErrorKind::not_found || attempt == 50)
            return gone ? Result<void>() : resized ? Result<void>() : Result<void>(resized.error());
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

namespace {

/// Clients ask for the exit code the moment their stream ends, which can be before the exit's event
/// was handled here; the supervisor itself knows.
void refresh(Context& context, const ExecRecord& exec) {
    if (!exec.running) return;
    const auto container = context.containers.find(exec.container_id);
    if (!container) return;
    const auto supervisor = (*container)->supervisor();
    if (!supervisor) return;
    const auto state = supervisor->call(proto::StateRequest{});
    if (!state) return;  // it is going away: its exit is on its way to us
    for (const auto& known : state->execs)
        if (known.exec_id == exec.id && !known.running) context.execs.end(exec.id, known.code);
}

}  // namespace

Result<apitypes::ExecInspect> Execs::inspect(std::string_view exec_id) const {
    refresh(context_, TRY(context_.execs.find(exec_id)));
    const auto exec = TRY(context_.execs.find(exec_id));
    apitypes::ExecInspect out;
    out.id = exec.id;
    out.running = exec.running;
    out.exit_code = exec.exit_code;
    out.process_config.tty = exec.config.tty;
    const auto& command = exec.config.cmd.values();
    if (!command.empty()) {
        out.process_config.entrypoint = command[0];
        out.process_config.arguments.assign(command.begin() + 1, command.end());
    }
    out.process_config.privileged = exec.config.privileged;
    out.process_config.user = exec.config.user;
    out.open_stdin = exec.config.attach_stdin;
    out.open_stdout = exec.config.attach_stdout;
    out.open_stderr = exec.config.attach_stderr;
    out.can_remove = exec.exit_code.has_value();
    out.container_id = exec.container_id;
    out.detach_keys = base64_encode(exec.config.detach_keys);
    out.pid = exec.pid;
    return out;
}

}  // namespace corten::engine
