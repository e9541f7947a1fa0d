#include "pump.hpp"

#include <poll.h>

#include <array>
#include <string>

namespace corten::http {

namespace {

constexpr std::size_t pump_bytes = 64 << 10;

/// One way of the two.
class Way {
public:
    Way(Stream& from, Stream& to) : from_(from), to_(to) { buffer_.resize(pump_bytes); }

    enum class State { moved, waiting, failed };

    /// One step, without waiting.
    State step() {
        if (begin_ < end_) return write_some();
        if (ended_) return finish();
        return read_some();
    }
    bool finished() const { return finished_; }
    /// What has to be polled for, on which of the two.
    void add_interest(pollfd& from, pollfd& to) const {
        if (finished_) return;
        pollfd& entry = begin_ < end_ ? to : from;
        entry.events |= wanted_ == Step::wait_writable ? POLLOUT : POLLIN;
    }

private:
    State read_some() {
        const auto step = from_.try_read(buffer_);
        if (!step.has_value()) return State::failed;
        wanted_ = step->kind;
        if (step->kind == Step::end)
            ended_ = true;
        else if (step->kind != Step::moved)
            return State::waiting;
        begin_ = 0;
        end_ = step->bytes;
        return State::moved;
    }

    State write_some() {
        const std::string_view part(buffer_.data() + begin_, end_ - begin_);
        const auto step = to_.try_write({&part, 1});
        if (!step.has_value()) return State::failed;
        wanted_ = step->kind;
        begin_ += step->bytes;
        return step->kind == Step::moved ? State::moved : State::waiting;
    }

    State finish() {
        if (finished_) return State::waiting;
        finished_ = true;
        return to_.shutdown_write().has_value() ? State::moved : State::failed;
    }

    Stream& from_;
    Stream& to_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    Step::Kind wanted_ = Step::wait_readable;
    bool ended_ = false;
    bool finished_ = false;
};

}  // namespace

void pump(Stream& near, Stream& far) {
    Way out(near, far);
    Way in(far, near);
    for (;;) {
        const auto a = out.step();
        const auto b = in.step();
        if (a == Way::State::failed || b == Way::State::failed) return;
        if (out.finished() && in.finished()) return;
        if (a == Way::State::moved || b == Way::State::moved) continue;
        std::array<pollfd, 2> entries{{{near.fd().raw(), 0, 0}, {far.fd().raw(), 0, 0}}};
        out.add_interest(entries[0], entries[1]);
        in.add_interest(entries[1], entries[0]);
        if (::poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
        // Nobody is left to read what the other may still send.
        if (out.finished() && (entries[0].revents & POLLHUP)) return;
        if (in.finished() && (entries[1].revents & (POLLHUP | POLLERR))) return;
    }
}

}  // namespace corten::http
