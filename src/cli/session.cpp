#include "session.hpp"

#include <sys/file.hpp>
#include <sys/signalfd.h>

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace corten::cli {

namespace {

constexpr std::array forwarded = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGCONT, SIGTSTP};
constexpr int interrupts_that_force = 3;

sigset_t caught_signals(const SessionOptions& options) {
    sigset_t set;
    sigemptyset(&set);
    if (options.on_resize) sigaddset(&set, SIGWINCH);
    if (options.on_signal)
        for (const int number : forwarded) sigaddset(&set, number);
    return set;
}

}  // namespace

struct Session::State {
    explicit State(SessionOptions given, RawMode mode)
        : options(std::move(given)), raw(std::move(mode)), detach(options.detach_keys) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { ::sigprocmask(SIG_SETMASK, &old_mask, nullptr); }

    SessionOptions options;
    RawMode raw;
    DetachFilter detach;
    Demultiplexer demultiplexer;
    Fd signals;
    sigset_t old_mask{};
    int interrupts = 0;

    std::unique_ptr<http::Stream> stream;
    std::string pending;  ///< input that the stream has not taken yet
    bool input_open = false;
    bool output_open = true;
    bool detached = false;

    Result<void> start_input();
    Result<void> read_input();
    Result<void> send_pending();
    Result<void> read_stream(std::span<char> buffer);
    Result<void> give_out(std::string_view bytes);
    void read_signals();
    Result<void> wait_and_move(std::span<char> buffer);
};

Result<void> Session::State::give_out(std::string_view bytes) {
    if (options.tty || !options.multiplexed) return write_output(STDOUT_FILENO, bytes);
    return demultiplexer.take(bytes, write_output);
}

Result<void> Session::State::start_input() {
    input_open = options.send_input;
    // A peer that gets no input is told so: it keeps sending its output.
    return input_open ? Result<void>() : stream->shutdown_write();
}

Result<void> Session::State::read_input() {
    std::array<char, 32768> buffer;
    const auto count = sys::read_some(standard_input(), buffer);
    if (!count || *count == 0) {
        input_open = false;
        return pending.empty() ? stream->shutdown_write() : Result<void>();
    }
    const std::string_view bytes(buffer.data(), *count);
    if (!options.tty) {
        pending += bytes;
        return send_pending();
    }
    auto outcome = detach.take(bytes);
    pending += outcome.pass_on;
    detached = outcome.detached;
    return send_pending();
}

Result<void> Session::State::send_pending() {
    while (!pending.empty()) {
        const std::string_view part = pending;
        const auto step = stream->try_write({&part, 1});
        if (!step) {  // the process closed its input; its output may still come
            pending.clear();
            input_open = false;
            return {};
        }
        if (step->kind != http::Step::moved) return {};
        pending.erase(0, step->bytes);
    }
    return input_open ? Result<void>() : stream->shutdown_write();
}

Result<void> Session::State::read_stream(std::span<char> buffer) {
    const auto step = TRY(stream->try_read(buffer));
    if (step.kind == http::Step::end) output_open = false;
    if (step.kind != http::Step::moved) return {};
    return give_out({buffer.data(), step.bytes});
}

void Session::State::read_signals() {
    signalfd_siginfo info{};
    if (::read(signals.raw(), &info, sizeof info) != sizeof info) return;
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGWINCH) {
        options.on_resize(window_size());
        return;
    }
    const bool interrupt = number == SIGINT || number == SIGTERM;
    if (interrupt && ++interrupts >= interrupts_that_force && !options.tty) {
        raw.restore();
        ::sigprocmask(SIG_SETMASK, &old_mask, nullptr);
        ::raise(number);
    }
    options.on_signal(number);
}

Result<void> Session::State::wait_and_move(std::span<char> buffer) {
    const auto wanted = static_cast<short>(POLLIN | (pending.empty() ? 0 : POLLOUT));
    const bool read_more = input_open && pending.empty();
    std::array<pollfd, 3> entries = {{{stream->fd().raw(), wanted, 0},
                                      {signals.valid() ? signals.raw() : -1, POLLIN, 0},
                                      {read_more ? STDIN_FILENO : -1, POLLIN, 0}}};
    if (!stream->has_pending() && ::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno == EINTR) return {};
        return fail_errno("wait for the container's output");
    }
    if (entries[1].revents) read_signals();
    if (entries[2].revents) TRY(read_input());
    if (entries[0].revents & POLLOUT) TRY(send_pending());
    if (entries[0].revents & (POLLIN | POLLHUP | POLLERR) || stream->has_pending())
        TRY(read_stream(buffer));
    return {};
}

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::prepare(SessionOptions options) {
    const bool raw = options.tty && options.send_input;
    auto mode = raw ? TRY(RawMode::enter()) : RawMode::none();
    auto state = std::make_unique<State>(std::move(options), std::move(mode));
    const sigset_t set = caught_signals(state->options);
    ::sigprocmask(SIG_BLOCK, &set, &state->old_mask);
    state->signals = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!state->signals.valid()) return fail_errno("catch signals");
    return Session(std::move(state));
}

Result<SessionEnd> Session::run(http::Upgraded upgraded) {
    State& state = *state_;
    state.stream = std::move(upgraded.stream);
    std::vector<char> buffer(256 << 10);
    TRY(state.give_out(upgraded.early));
    TRY(state.start_input());
    while (state.output_open && !state.detached) TRY(state.wait_and_move(buffer));
    state.raw.restore();
    return state.detached ? SessionEnd::detached : SessionEnd::output_ended;
}

Result<void> Demultiplexer::take(std::string_view bytes,
                                 const std::function<Result<void>(int, std::string_view)>& write) {
    constexpr std::size_t head_size = 8;
    while (!bytes.empty()) {
        if (left_ == 0) {
            const std::size_t part = std::min(head_size - head_.size(), bytes.size());
            head_.append(bytes.substr(0, part));
            bytes.remove_prefix(part);
            if (head_.size() < head_size) return {};
            stream_ = static_cast<unsigned char>(head_[0]);
            for (std::size_t i = 4; i < head_size; ++i)
                left_ = left_ << 8 | static_cast<unsigned char>(head_[i]);
            head_.clear();
            if (stream_ > 3) return fail(ErrorKind::corrupt, "unrecognized stream: {}", stream_);
            continue;
        }
        const std::string_view payload = bytes.substr(0, left_);
        bytes.remove_prefix(payload.size());
        left_ -= payload.size();
        if (stream_ < 3) {
            TRY(write(stream_ == 2 ? STDERR_FILENO : STDOUT_FILENO, payload));
            continue;
        }
        complaint_ += payload;
        if (left_ == 0)
            return fail(ErrorKind::internal, "error from daemon in stream: {}", complaint_);
    }
    return {};
}

Result<void> write_output(int stream, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(stream, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) {
            pollfd entry{stream, POLLOUT, 0};
            ::poll(&entry, 1, -1);
            continue;
        }
        if (count < 0) return fail_errno("write output");
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

std::string signal_name(int number) {
    const char* name = ::sigabbrev_np(number);
    return name ? name : std::to_string(number);
}

}  // namespace corten::cli
