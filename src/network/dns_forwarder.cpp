#include "dns_forwarder.hpp"

#include "dns_message.hpp"

#include <base/log.hpp>
#include <sys/epoll.h>
#include <sys/namespaces.hpp>
#include <sys/socket.h>

#include <netdb.h>

#include <array>
#include <cerrno>

namespace corten::network {

namespace {

constexpr auto patience_with_a_server = std::chrono::seconds(4);
constexpr std::size_t most_at_once = 1024;

using AddressInfo = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Result<AddressInfo> address_of(const std::string& server, DnsTransport transport) {
    const addrinfo hints{
        .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
        .ai_family = AF_UNSPEC,
        .ai_socktype = transport == DnsTransport::datagram ? SOCK_DGRAM : SOCK_STREAM};
    addrinfo* found = nullptr;
    if (const int code = ::getaddrinfo(server.c_str(), "53", &hints, &found); code != 0)
        return fail(ErrorKind::invalid, "name server {}: {}", server, ::gai_strerror(code));
    return AddressInfo(found, ::freeaddrinfo);
}

/// Connected, so that the kernel takes answers from nobody else and tells of refusals.
Result<Fd> connect_to(const addrinfo& address) {
    Fd socket(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                       address.ai_protocol));
    if (!socket) return fail_errno("socket for a name server");
    if (::connect(socket.raw(), address.ai_addr, address.ai_addrlen) < 0 && errno != EINPROGRESS)
        return fail_errno("connect to a name server");
    return socket;
}

}  // namespace

void DnsForwarder::ask(ForwardedQuestion question, Done done) {
    const Id id = next_id_++;
    const bool too_many = exchanges_.size() >= most_at_once;
    auto& exchange = exchanges_[id];
    exchange.question = std::move(question);
    exchange.done = std::move(done);
    if (too_many) exchange.question.servers.clear();
    // Not from within the caller's own handler.
    exchange.patience = loop_.after(std::chrono::milliseconds(0), [this, id] { ask_next(id); });
}

void DnsForwarder::ask_next(Id id) {
    auto& exchange = exchanges_.at(id);
    const auto& servers = exchange.question.servers;
    while (exchange.next_server < servers.size()) {
        const auto& server = servers[exchange.next_server++];
        exchange.watch.reset();
        auto opened = open(id, exchange, server);
        if (opened) return;
        log::debug("name server {}: {}", server, opened.error().message());
    }
    finish(id, std::move(exchange.failure));
}

Result<void> DnsForwarder::open(Id id, Exchange& exchange, const std::string& server) {
    const auto& question = exchange.question;
    const auto address = TRY(address_of(server, question.transport));
    const auto connect = [&]() -> Result<void> {
        exchange.socket = TRY(connect_to(*address));
        return {};
    };
    TRY(question.network_namespace ? sys::in_network_namespace(*question.network_namespace, connect)
                                   : connect());
    exchange.received.clear();
    exchange.to_send = question.transport == DnsTransport::stream ? dns_framed(question.message)
                                                                  : question.message;
    exchange.watch = TRY(loop_.watch(exchange.socket, EPOLLOUT,
                                     [this, id](std::uint32_t events) { on_ready(id, events); }));
    exchange.patience = loop_.after(patience_with_a_server, [this, id] { ask_next(id); });
    return {};
}

void DnsForwarder::on_ready(Id id, std::uint32_t events) {
    auto& exchange = exchanges_.at(id);
    if (!exchange.to_send.empty() && (events & EPOLLOUT) != 0) {
        const auto sent = ::send(exchange.socket.raw(), exchange.to_send.data(),
                                 exchange.to_send.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return ask_next(id);
        if (sent > 0) exchange.to_send.erase(0, static_cast<std::size_t>(sent));
        if (exchange.to_send.empty()) exchange.watch.set(EPOLLIN);
        return;
    }
    auto answer = receive(exchange);
    if (!answer) return ask_next(id);
    if (*answer) take(id, std::move(**answer));
}

/// Empty while more is to come.
Result<std::optional<std::string>> DnsForwarder::receive(Exchange& exchange) {
    std::array<char, longest_dns_message> buffer;
    const auto size = ::recv(exchange.socket.raw(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EAGAIN) return std::optional<std::string>();
    if (size < 0) return fail_errno("answer of a name server");
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(size));
    if (exchange.question.transport == DnsTransport::datagram)
        return std::optional(std::string(bytes));
    if (size == 0) return fail(ErrorKind::io, "a name server hung up");
    exchange.received += bytes;
    return take_dns_message(exchange.received);
}

void DnsForwarder::take(Id id, std::string answer) {
    auto& exchange = exchanges_.at(id);
    switch (judge_dns_answer(exchange.question.message, answer)) {
        case DnsVerdict::unrelated:
            if (exchange.question.transport == DnsTransport::stream) ask_next(id);
            return;  // a datagram may still be followed by the right one
        case DnsVerdict::failed:
            exchange.failure = std::move(answer);
            return ask_next(id);
        case DnsVerdict::answered:
            return finish(id, std::move(answer));
    }
}

void DnsForwarder::finish(Id id, std::string answer) {
    const auto exchange = exchanges_.extract(id);
    exchange.mapped().done(std::move(answer));
}

}  // namespace corten::network
