#pragma once
// Byte streams with deadlines. A Stream wraps a socket without changing its flags: the descriptor
// can be handed to another process at any time (O_NONBLOCK would be shared with it).
#include <base/fd.hpp>
#include <base/result.hpp>

#include <chrono>
#include <memory>
#include <span>
#include <string_view>

namespace corten::http {

/// A point in time after which waiting ends with an error of kind `unavailable`.
class Deadline {
public:
    using Clock = std::chrono::steady_clock;
    static Deadline never() { return Deadline(Clock::time_point::max()); }
    static Deadline in(std::chrono::milliseconds time) {
        return time.count() <= 0 ? never() : Deadline(Clock::now() + time);
    }
    /// What is left, as poll(2) takes it: -1 for ever, 0 when it has passed.
    int poll_timeout() const;

private:
    explicit Deadline(Clock::time_point at) : at_(at) {}
    Clock::time_point at_;
};

/// What one attempt to read or write without waiting came to.
struct Step {
    enum Kind { moved, end, wait_readable, wait_writable } kind = moved;
    std::size_t bytes = 0;
};

class Stream {
public:
    virtual ~Stream() = default;

    /// One attempt that never waits. `end`: the peer will send no more.
    virtual Result<Step> try_read(std::span<char> buffer) = 0;
    /// One attempt to write the parts in order; may write some bytes only.
    virtual Result<Step> try_write(std::span<const std::string_view> parts) = 0;
    /// Tells the peer that no more bytes come; reading goes on.
    virtual Result<void> shutdown_write() = 0;
    /// The socket, to be polled. Readable does not always mean that bytes are there.
    virtual FdView fd() const = 0;
    /// Bytes that try_read() would give although fd() is not readable (TLS keeps some).
    virtual bool has_pending() const { return false; }
    /// The socket when its bytes are the stream's own bytes (not TLS); invalid otherwise.
    virtual FdView raw_socket() const { return fd(); }

    /// Waits until the socket is ready for what a step asked for.
    Result<void> wait(Step::Kind kind, Deadline deadline) const;

    /// At least one byte, or 0 at the end.
    Result<std::size_t> read(std::span<char> buffer, Deadline deadline = Deadline::never());
    /// All of it. The deadline is for progress: each byte taken by the peer starts `stall` anew.
    Result<void> write(std::span<const std::string_view> parts,
                       std::chrono::milliseconds stall = {});
    Result<void> write(std::string_view bytes, std::chrono::milliseconds stall = {});
};

/// The parts that are left once `bytes` of them are written; empty ones in front go, too.
std::span<std::string_view> drop_front(std::span<std::string_view> parts, std::size_t bytes);

/// Takes the socket over.
std::unique_ptr<Stream> make_socket_stream(Fd socket);

/// Connects to host:port over TCP (each address in turn) until the deadline, TCP_NODELAY on.
Result<Fd> connect_tcp(const std::string& host, const std::string& port, Deadline deadline);

/// Wraps a connected stream in TLS as the client. tls.hpp makes one; the interface is here so that
/// programs without TLS need not link it.
class TlsConnector {
public:
    virtual ~TlsConnector() = default;
    virtual Result<std::unique_ptr<Stream>> connect(std::unique_ptr<Stream> stream,
                                                    const std::string& host,
                                                    Deadline deadline) const = 0;
};

/// The same for a server: runs the handshake on an accepted stream.
class TlsAcceptor {
public:
    virtual ~TlsAcceptor() = default;
    virtual Result<std::unique_ptr<Stream>> accept(std::unique_ptr<Stream> stream,
                                                   Deadline deadline) const = 0;
};

}  // namespace corten::http
