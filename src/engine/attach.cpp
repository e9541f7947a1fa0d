// Handing clients' connections to the supervisor, and reading logs.
#include "exec_runner.hpp"
#include "lifecycle.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>
#include <engine/containers.hpp>
#include <proto/detach_keys.hpp>
#include <sys/file.hpp>

#include <logfile/reader.hpp>

#include <mutex>

namespace corten::engine {

namespace {

logfile::ReadOptions read_options(const LogRequest& request) {
    return {.out = request.stdout_stream,
            .err = request.stderr_stream,
            .tail = request.tail.value_or(-1),
            .since = request.since,
            .until = request.until};
}

Result<void> check_readable(const ContainerSpec& spec) {
    if (spec.host.log_config.type != "none") return {};
    return fail(ErrorKind::not_built, "configured logging driver does not support reading");
}

class ContainerAttachment final : public Attachment {
public:
    ContainerAttachment(Context& context, std::shared_ptr<Container> container,
                        AttachRequest request, std::string keys)
        : context_(context),
          container_(std::move(container)),
          request_(std::move(request)),
          keys_(std::move(keys)) {}

    bool tty() const override { return container_->spec()->config.tty; }

    void hold() override {
        // Past output goes to the client first, and nobody may have to wait for a slow one.
        if (!request_.stream || request_.logs) return;
        operation_ = std::unique_lock(container_->operation());
        if (container_->state().is_running()) operation_.unlock();
    }

    Result<void> connect(ClientStream client) override {
        const auto spec = container_->spec();
        if (request_.logs) TRY(write_past_output(client.socket));
        if (!request_.stream) return {};
        if (!operation_.owns_lock()) operation_ = std::unique_lock(container_->operation());
        TRY(check_present(*container_, spec->name));
        const auto supervisor = TRY(lifecycle::ensure_supervisor(context_, container_));
        proto::AttachRequest request;
        request.terminal = spec->config.tty;
        request.options = {.use_stdin = request_.stdin_stream && spec->config.open_stdin,
                           .use_stdout = request_.stdout_stream,
                           .use_stderr = request_.stderr_stream,
                           .framed = framed(),
                           .detach_keys = keys_,
                           .preread = base64_encode(client.early_bytes)};
        auto sent = TRY(supervisor->send(request, {{"client", client.socket}}));
        operation_.unlock();  // a start that is waiting comes after the client, and need not wait
        TRY(sent.wait());
        publish_container_event(context_, *spec, "attach");
        return {};
    }

private:
    bool framed() const { return request_.framed && !tty(); }

    Result<void> write_past_output(FdView socket) {
        auto reader = TRY(
            logfile::Reader::open(context_.log_of(container_->id()), {.out = request_.stdout_stream,
                                                                      .err = request_.stderr_stream,
                                                                      .since = {},
                                                                      .until = {}}));
        while (const auto* entry = TRY(reader.next())) {
            const int stream = entry->stream == logfile::Stream::err ? 2 : 1;
            TRY(sys::write_all(socket,
                               framed() ? engine::framed(stream, entry->text) : entry->text));
        }
        return {};
    }

    Context& context_;
    std::shared_ptr<Container> container_;
    AttachRequest request_;
    std::string keys_;
    std::unique_lock<std::mutex> operation_;  ///< from hold() until the supervisor has the client
};

class ContainerLog final : public LogStream {
public:
    ContainerLog(std::shared_ptr<Container> container, logfile::Reader reader, bool follow,
                 std::shared_ptr<WaitSlot> ended)
        : container_(std::move(container)),
          reader_(std::move(reader)),
          follow_(follow),
          ended_(std::move(ended)) {}
    ~ContainerLog() override {
        if (ended_) container_->end_wait(ended_);
    }

    bool tty() const override { return container_->spec()->config.tty; }

    Result<std::optional<LogLine>> next(FdView cancel) override {
        for (;;) {
            if (const auto* entry = TRY(reader_.next()))
                return std::optional(LogLine{.time = entry->time,
                                             .is_stderr = entry->stream == logfile::Stream::err,
                                             .text = entry->text});
            if (!follow_ || reader_.finished()) return std::optional<LogLine>();
            // The log is complete before the exit is told, so one more look is enough.
            if (ended_->done.is_set()) {
                follow_ = false;
                continue;
            }
            const FdView fds[] = {cancel, TRY(reader_.changes()), ended_->done.fd()};
            if (TRY(sys::wait_readable(fds)) == 0) return std::optional<LogLine>();
            reader_.clear_changes();
        }
    }

private:
    std::shared_ptr<Container> container_;
    logfile::Reader reader_;
    bool follow_;
    std::shared_ptr<WaitSlot> ended_;
};

}  // namespace

Result<std::unique_ptr<Attachment>> Containers::attach(std::string_view ref,
                                                       const AttachRequest& request) {
    auto container = TRY(context_.containers.find(ref));
    const auto state = container->state();
    if (state.status == "paused")
        return fail(ErrorKind::conflict,
                    "container {} is paused, unpause the container before attach", ref);
    if (state.status == "restarting")
        return fail(ErrorKind::conflict,
                    "container {} is restarting, wait until the container is running", ref);
    std::string keys(proto::default_detach_keys);
    if (!request.detach_keys.empty()) keys = TRY(proto::parse_detach_keys(request.detach_keys));
    return std::unique_ptr<Attachment>(std::make_unique<ContainerAttachment>(
        context_, std::move(container), request, std::move(keys)));
}

Result<std::unique_ptr<LogStream>> Containers::logs(std::string_view ref,
                                                    const LogRequest& request) {
    auto container = TRY(context_.containers.find(ref));
    if (!request.stdout_stream && !request.stderr_stream)
        return fail(ErrorKind::invalid, "Bad parameters: you must choose at least one stream");
    TRY(check_readable(*container->spec()));
    auto ended = request.follow ? TRY(container->begin_wait(WaitCondition::not_running)) : nullptr;
    auto reader =
        TRY(logfile::Reader::open(context_.log_of(container->id()), read_options(request)));
    return std::unique_ptr<LogStream>(std::make_unique<ContainerLog>(
        std::move(container), std::move(reader), request.follow, std::move(ended)));
}

}  // namespace corten::engine
