#pragma once
// Asks the servers of the outside what no container's name answers: each question over a socket of
// its own (a random port each time), one server after the other. For the thread of its loop alone.
#include <base/fd.hpp>
#include <sys/loop.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace corten::network {

enum class DnsTransport : std::uint8_t { datagram, stream };

struct ForwardedQuestion {
    std::string message;
    DnsTransport transport = DnsTransport::datagram;
    std::vector<std::string> servers;  ///< addresses, asked in order at port 53
    /// Where they are asked from; none: the daemon's own.
    std::shared_ptr<const Fd> network_namespace;
};

class DnsForwarder {
public:
    /// The answer; empty when no server gave one.
    using Done = std::function<void(std::string answer)>;

    explicit DnsForwarder(sys::Loop& loop) : loop_(loop) {}

    /// `done` is called later, once. Each server has four seconds.
    void ask(ForwardedQuestion question, Done done);

private:
    struct Exchange {
        ForwardedQuestion question;
        Done done;
        std::size_t next_server = 0;
        Fd socket;
        std::string to_send;   ///< what is left of it
        std::string received;  ///< of a stream
        std::string failure;   ///< the answer of a server that failed, for when all do
        sys::Loop::Watch watch;
        sys::Loop::Timer patience;
    };
    using Id = std::uint64_t;

    void ask_next(Id id);
    Result<void> open(Id id, Exchange& exchange, const std::string& server);
    void on_ready(Id id, std::uint32_t events);
    Result<std::optional<std::string>> receive(Exchange& exchange);
    void take(Id id, std::string answer);
    void finish(Id id, std::string answer);

    sys::Loop& loop_;
    std::map<Id, Exchange> exchanges_;
    Id next_id_ = 1;
};

}  // namespace corten::network
