#include <proto/shim_client.hpp>

#include <cerrno>

namespace corten::proto {

namespace {

Error gone() {
    return fail(ErrorKind::unavailable, "the container's supervisor is gone");
}

Result<Json> outcome_of(Envelope envelope) {
    if (envelope.type == "ok") return std::move(envelope.body);
    auto error = from_json<ErrorBody>(envelope.body, "supervisor error");
    if (!error) return std::move(error).error();
    return to_error(*error);
}

}  // namespace

bool ShimClient::is_closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
}

void ShimClient::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    answered_.notify_all();
}

/// A supervisor is busy for moments only: waits for room in its buffer rather than failing.
Result<void> ShimClient::send_within(const Envelope& envelope, const std::vector<RoleFd>& fds,
                                     sys::Milliseconds timeout) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    for (;;) {
        auto sent = proto::send(socket_, envelope, fds);
        if (sent || sent.error().number() != EAGAIN) return sent;
        const auto left =
            std::chrono::ceil<sys::Milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0 || !TRY(sys::wait_writable(socket_, left))) return sent;
    }
}

Result<std::uint64_t> ShimClient::post(std::string_view type, Json body,
                                       const std::vector<RoleFd>& fds, sys::Milliseconds timeout) {
    std::unique_lock lock(mutex_);
    if (closed_) return gone();
    const std::uint64_t sequence = next_sequence_++;
    waiting_[sequence];
    lock.unlock();

    auto sent = send_within({.seq = sequence, .type = std::string(type), .body = std::move(body)},
                            fds, timeout);
    if (sent) return sequence;
    lock.lock();
    waiting_.erase(sequence);
    return std::move(sent).error();
}

Result<Json> ShimClient::await(std::uint64_t sequence, std::string_view type,
                               sys::Milliseconds timeout) {
    std::unique_lock lock(mutex_);
    Waiting& waiting = waiting_[sequence];
    answered_.wait_for(lock, timeout, [&] { return waiting.reply || closed_; });
    auto reply = std::move(waiting.reply);
    waiting_.erase(sequence);
    if (reply) return std::move(*reply);
    if (closed_) return gone();
    return fail(ErrorKind::unavailable, "the container's supervisor did not answer \"{}\" in {} ms",
                type, timeout.count());
}

void ShimClient::resolve(Envelope envelope) {
    std::lock_guard lock(mutex_);
    const auto found = waiting_.find(envelope.seq);
    if (found == waiting_.end()) return;  // its caller has given up waiting
    found->second.reply = outcome_of(std::move(envelope));
    answered_.notify_all();
}

std::optional<Event> ShimClient::receive_one() {
    auto received = receive(socket_);
    if (!received) {
        const auto kind = received.error().kind();
        // A message of another version is skipped; a broken socket is the end.
        if (kind != ErrorKind::corrupt && kind != ErrorKind::unsupported &&
            kind != ErrorKind::invalid)
            close();
        return {};
    }
    if (received->end) {
        close();
        return {};
    }
    Envelope& envelope = received->envelope;
    if (envelope.seq == 0) return Event{envelope.type, std::move(envelope.body)};
    resolve(std::move(envelope));
    return {};
}

}  // namespace corten::proto
