#include "session.hpp"

#include "memory.hpp"

#include <base/text.hpp>
#include <sys/epoll.h>
#include <sys/file.hpp>
#include <sys/ioctl.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace corten::shim {

namespace {

using std::chrono::milliseconds;

/// Input that waits for the process; beyond it the clients are not read.
constexpr std::size_t input_limit = 64 << 10;
/// After the exit: output of whoever still holds the pipe is over when it is quiet for so long.
constexpr milliseconds quiet_time{200};
/// A terminal that no process has open is looked at this often.
constexpr milliseconds terminal_retry{100};
constexpr milliseconds idle_time{1000};
/// More than a pipe holds: what was written before the exit is read in one go.
constexpr std::size_t drain_limit = 2 << 20;

Result<void> set_nonblocking(FdView fd) {
    const int flags = ::fcntl(fd.raw(), F_GETFL);
    if (flags < 0 || ::fcntl(fd.raw(), F_SETFL, flags | O_NONBLOCK) < 0)
        return fail_errno("make a standard stream non-blocking");
    return {};
}

/// Our end never blocks, the process's end is as plain as a shell would make it.
struct StreamPipe {
    Fd ours;
    Fd theirs;
};

Result<StreamPipe> output_pipe() {
    auto [read_end, write_end] = TRY(sys::pipe());
    TRY(set_nonblocking(read_end));
    return StreamPipe{std::move(read_end), std::move(write_end)};
}

Result<StreamPipe> input_pipe() {
    auto [read_end, write_end] = TRY(sys::pipe());
    TRY(set_nonblocking(write_end));
    return StreamPipe{std::move(write_end), std::move(read_end)};
}

}  // namespace

void Session::configure(SessionOptions options) {
    options_ = options;
    for (auto& client : clients_) client->heed_detach_keys(options_.terminal);
}

Result<void> Session::attach(Fd socket, const proto::AttachOptions& options) {
    if (drained_) return fail(ErrorKind::conflict, "the process has ended");
    const std::string preread = TRY(base64_decode(options.preread));
    // Hooks are never called once the session has dropped the client.
    ClientHooks hooks{
        .on_input = [this](std::string_view bytes) { on_input(bytes); },
        .on_input_end = [this] { on_input_end(); },
        .on_detach = [this] { hooks_.on_detached(); },
        .on_drained = [this] { release_back_pressure(); },
        .on_closed = [this] { sweep_clients(); },
    };
    auto client = TRY(Client::create(loop_, std::move(socket), options, std::move(hooks)));
    client->heed_detach_keys(options_.terminal);
    Client& added = *clients_.emplace_back(std::move(client));
    added.take_preread(preread);
    if (input_.size() > input_limit) added.hold_input(true);
    return {};
}

Result<ChildStdio> Session::prepare() {
    ChildStdio child;
    if (options_.terminal) return child;
    if (options_.open_stdin) {
        auto pipe = TRY(input_pipe());
        stdin_ = std::move(pipe.ours);
        child.in = std::move(pipe.theirs);
    }
    auto out = TRY(output_pipe());
    auto err = TRY(output_pipe());
    outputs_[0].fd = std::move(out.ours);
    outputs_[1].fd = std::move(err.ours);
    child.out = std::move(out.theirs);
    child.err = std::move(err.theirs);
    return child;
}

Result<void> Session::begin(Fd console_master) {
    running_ = true;
    if (options_.terminal) {
        TRY(set_nonblocking(console_master));
        outputs_[0].fd = std::move(console_master);
        if (size_.height != 0 || size_.width != 0) TRY(resize(size_));
        // epoll knows descriptors: one for reading and one for writing can be watched apart.
        if (options_.open_stdin) stdin_ = TRY(sys::duplicate(outputs_[0].fd));
    }
    for (auto& output : outputs_)
        if (output.fd)
            output.watch = TRY(loop_.watch(output.fd, EPOLLIN,
                                           [this, &output](std::uint32_t) { on_output(output); }));
    if (stdin_) {
        stdin_watch_ = TRY(loop_.watch(stdin_, 0, [this](std::uint32_t) { flush_input(); }));
        stdin_watch_.pause();
    }
    if (!stdin_) {
        drop_input();
    } else {
        if (client_ended_) on_input_end();
        flush_input();  // also of one that has left, and whose end is not the input's
    }
    return {};
}

void Session::abandon() {
    running_ = false;
    for (auto& output : outputs_) close_output(output);
    stdin_watch_.reset();
    stdin_.reset();
}

// ---- output ---------------------------------------------------------------------------------

bool Session::any_output_open() const {
    return std::ranges::any_of(outputs_, [](const Output& output) { return output.fd.valid(); });
}

void Session::on_output(Output& output) {
    pump(output);
    if (!output.fd && exited_ && !any_output_open()) finish_draining();
}

bool Session::pump(Output& output) {
    const std::span<char> buffer = read_buffer();
    const ssize_t got = ::read(output.fd.raw(), buffer.data(), buffer.size());
    if (got > 0) {
        deliver(output.stream, {buffer.data(), static_cast<std::size_t>(got)});
        return true;
    }
    if (got < 0 && errno == EINTR) return true;
    if (got < 0 && errno == EAGAIN) return false;
    if (options_.terminal && !exited_)
        on_terminal_idle(output);
    else
        close_output(output);
    return false;
}

/// EIO: no process has the terminal open just now, and one may open it again (/dev/console).
void Session::on_terminal_idle(Output& output) {
    output.watch.pause();
    output.retry = loop_.after(terminal_retry, [&output] {
        if (!output.held) output.watch.set(EPOLLIN);
    });
}

void Session::deliver(Stream stream, std::string_view bytes) {
    bytes_read_ += bytes.size();
    if (options_.log) {
        options_.log->append(stream, bytes, now());
        if (const auto reason = options_.log->take_failure()) hooks_.on_log_failure(*reason);
    }
    if (captured_.size() < options_.capture)
        captured_.append(bytes.substr(0, options_.capture - captured_.size()));
    for (auto& client : clients_)
        if (client->wants(stream)) client->send(stream, bytes);
    check_back_pressure();
    if (!idle_.pending()) idle_ = loop_.after(idle_time, [this] { give_memory_back(); });
}

/// A client that does not keep up stops the streams it takes, and with them the process, as a
/// terminal would.
void Session::check_back_pressure() {
    if (taking_the_rest_) return;
    for (auto& output : outputs_) {
        if (!output.fd || output.held) continue;
        output.held = std::ranges::any_of(clients_, [&](const auto& client) {
            return client->wants(output.stream) && client->is_behind();
        });
        if (output.held) output.watch.pause();
    }
}

void Session::release_back_pressure() {
    for (auto& output : outputs_) {
        if (!output.held) continue;
        output.held = std::ranges::any_of(clients_, [&](const auto& client) {
            return client->wants(output.stream) && client->is_behind();
        });
        if (!output.held) output.watch.set(EPOLLIN);
    }
}

void Session::close_output(Output& output) {
    output.watch.reset();
    output.retry.reset();
    output.fd.reset();
    output.held = false;
}

void Session::give_memory_back() {
    if (bytes_read_ != std::exchange(bytes_seen_by_timer_, bytes_read_)) {
        idle_ = loop_.after(idle_time, [this] { give_memory_back(); });
        return;
    }
    if (options_.log) options_.log->release_memory();
    release_read_buffer();
}

// ---- input ----------------------------------------------------------------------------------

void Session::on_input(std::string_view bytes) {
    if (input_refused_ || input_ends_) return;
    input_.append(bytes);
    flush_input();
    if (input_.size() > input_limit) hold_clients(true);
}

void Session::on_input_end() {
    client_ended_ = true;
    if (running_ && !options_.terminal && options_.stdin_once) close_stdin();
}

void Session::close_stdin() {
    input_ends_ = true;
    flush_input();
}

void Session::flush_input() {
    if (!running_ || !stdin_) return;
    while (!input_.empty()) {
        const ssize_t put = ::write(stdin_.raw(), input_.data(), input_.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) return stdin_watch_.set(EPOLLOUT);
        if (put < 0) return drop_input();
        input_.erase(0, static_cast<std::size_t>(put));
    }
    stdin_watch_.pause();
    input_ = std::string();
    hold_clients(false);
    if (input_ends_ && !options_.terminal) drop_input();
}

void Session::drop_input() {
    input_refused_ = true;
    input_ = std::string();
    stdin_watch_.reset();
    stdin_.reset();
    hold_clients(false);
}

void Session::hold_clients(bool hold) {
    for (auto& client : clients_) client->hold_input(hold);
}

Result<void> Session::resize(proto::ConsoleSize size) {
    size_ = size;
    if (!running_ || !options_.terminal || !outputs_[0].fd) return {};
    const winsize wanted{.ws_row = size.height, .ws_col = size.width};
    if (::ioctl(outputs_[0].fd.raw(), TIOCSWINSZ, &wanted) < 0)
        return fail_errno("resize the terminal");
    return {};
}

// ---- the end --------------------------------------------------------------------------------

void Session::process_exited() {
    exited_ = true;
    drop_input();
    for (auto& output : outputs_) output.held = false;
    drain_available();
    if (!any_output_open()) return finish_draining();
    for (auto& output : outputs_)
        if (output.fd) output.watch.set(EPOLLIN);
    deadline_ = loop_.after(options_.drain, [this] { finish_draining(); });
    wait_for_end();
}

/// What the process wrote before it ended. It is bounded, so clients get it whatever they hold.
void Session::drain_available() {
    taking_the_rest_ = true;
    for (auto& output : outputs_) {
        const std::uint64_t before = bytes_read_;
        while (output.fd && bytes_read_ - before < drain_limit && pump(output)) continue;
    }
    taking_the_rest_ = false;
}

/// Another process still holds the pipe: a child that outlives it. Its output is taken while it
/// flows.
void Session::wait_for_end() {
    quiet_ = loop_.after(quiet_time, [this, before = bytes_read_] {
        const bool held = std::ranges::any_of(outputs_, &Output::held);
        if (bytes_read_ == before && !held)
            finish_draining();
        else
            wait_for_end();
    });
}

void Session::finish_draining() {
    if (std::exchange(drained_, true)) return;
    quiet_.reset();
    deadline_.reset();
    for (auto& output : outputs_) {
        if (output.fd) pump(output);
        close_output(output);
        if (options_.log) options_.log->finish(output.stream, now());
    }
    finish_clients();
    hooks_.on_drained();
}

void Session::finish_clients() {
    for (auto& client : clients_) client->finish();
}

void Session::sweep_clients() {
    std::erase_if(clients_, [](const auto& client) { return client->is_closed(); });
    release_back_pressure();
    hooks_.on_client_closed();
}

}  // namespace corten::shim
