#include "name_server.hpp"

#include "dns_forwarder.hpp"
#include "dns_sockets.hpp"

#include <base/log.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <array>
#include <cerrno>

namespace corten::network {

namespace {

constexpr int datagrams_in_turn = 64;  ///< of one container, before the others' turn
constexpr std::size_t most_streams = 64;
constexpr auto stream_patience = std::chrono::seconds(10);

using Reply = std::function<void(std::string answer)>;

/// One question after another over one connection.
struct Stream {
    Fd socket;
    std::string received;
    std::string to_send;
    sys::Loop::Watch watch;
    sys::Loop::Timer patience;
};

/// What one container asks and is answered.
class Desk : public std::enable_shared_from_this<Desk> {
public:
    struct Surroundings {
        sys::Loop& loop;
        DnsForwarder& forwarder;
        const NameServer::Directory& directory;
    };

    Desk(Surroundings around, std::string asker, DnsSockets sockets,
         std::shared_ptr<const Fd> network_namespace, Upstreams upstreams)
        : around_(around),
          asker_(std::move(asker)),
          sockets_(std::move(sockets)),
          network_namespace_(std::move(network_namespace)),
          upstreams_(std::move(upstreams)) {}

    Result<void> open() {
        datagram_watch_ = TRY(around_.loop.watch(sockets_.datagram, EPOLLIN,
                                                 [this](std::uint32_t) { take_datagrams(); }));
        listener_watch_ = TRY(around_.loop.watch(sockets_.listener, EPOLLIN,
                                                 [this](std::uint32_t) { take_stream(); }));
        return {};
    }

private:
    void take_datagrams() {
        std::array<char, longest_dns_message> buffer;
        for (int i = 0; i < datagrams_in_turn; ++i) {
            sockaddr_in from{};
            socklen_t size_of_from = sizeof from;
            const auto size = ::recvfrom(sockets_.datagram.raw(), buffer.data(), buffer.size(), 0,
                                         reinterpret_cast<sockaddr*>(&from), &size_of_from);
            if (size < 0) return;  // EAGAIN, or an answer that nobody took
            answer(std::string(buffer.data(), static_cast<std::size_t>(size)),
                   DnsTransport::datagram, reply_to(from));
        }
    }

    Reply reply_to(const sockaddr_in& asker) {
        return [desk = weak_from_this(), asker](const std::string& answer) {
            const auto self = desk.lock();
            if (!self || answer.empty()) return;
            // What cannot be sent is asked again.
            ::sendto(self->sockets_.datagram.raw(), answer.data(), answer.size(), 0,
                     reinterpret_cast<const sockaddr*>(&asker), sizeof asker);
        };
    }

    void answer(const std::string& message, DnsTransport transport, const Reply& reply) {
        const auto question = parse_dns_question(message);
        if (!question) return reply(dns_refusal(message, DnsRefusal::malformed));
        const auto found = around_.directory(asker_, *question);
        if (!found.known) return forward(message, transport, reply);
        auto text = own_answer(message, *question, found);
        reply(transport == DnsTransport::datagram ? dns_fitting(std::move(text), *question)
                                                  : std::move(text));
    }

    static std::string own_answer(const std::string& message, const DnsQuestion& question,
                                  const NameAnswer& found) {
        if (!question.wants_pointer()) return dns_addresses(message, question, found.addresses);
        return dns_pointer(message, question, found.name)
            .value_or(dns_refusal(message, DnsRefusal::server_failure));
    }

    void forward(const std::string& message, DnsTransport transport, const Reply& reply) {
        ForwardedQuestion question{message, transport, upstreams_.servers, nullptr};
        if (upstreams_.from_inside) question.network_namespace = network_namespace_;
        around_.forwarder.ask(std::move(question), [message, reply](std::string answer) {
            reply(answer.empty() ? dns_refusal(message, DnsRefusal::server_failure)
                                 : std::move(answer));
        });
    }

    void take_stream() {
        Fd socket(
            ::accept4(sockets_.listener.raw(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket || streams_.size() >= most_streams) return;
        const auto id = next_stream_++;
        auto& stream = streams_[id];
        stream.socket = std::move(socket);
        auto watch = around_.loop.watch(
            stream.socket, EPOLLIN, [this, id](std::uint32_t events) { on_stream(id, events); });
        if (!watch) return close(id);
        stream.watch = std::move(*watch);
        wait_for(id);
    }

    void on_stream(std::uint64_t id, std::uint32_t events) {
        auto& stream = streams_.at(id);
        if (!stream.to_send.empty()) return send(id);
        if ((events & EPOLLIN) == 0) return close(id);
        std::array<char, 4096> buffer;
        const auto size = ::recv(stream.socket.raw(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) return close(id);
        stream.received.append(buffer.data(), static_cast<std::size_t>(size));
        take_question(id);
    }

    /// One at a time: the next is read when this is answered.
    void take_question(std::uint64_t id) {
        auto& stream = streams_.at(id);
        const auto message = take_dns_message(stream.received);
        if (!message) return stream.watch.set(EPOLLIN);
        stream.watch.pause();
        stream.patience.reset();  // the forwarder has its own
        answer(*message, DnsTransport::stream,
               [desk = weak_from_this(), id](const std::string& answer) {
                   if (const auto self = desk.lock()) self->reply_by_stream(id, answer);
               });
    }

    void reply_by_stream(std::uint64_t id, const std::string& answer) {
        const auto found = streams_.find(id);
        if (found == streams_.end()) return;
        if (answer.empty()) return close(id);
        auto& stream = found->second;
        stream.to_send = dns_framed(answer);
        stream.watch.set(EPOLLOUT);
        wait_for(id);
    }

    void send(std::uint64_t id) {
        auto& stream = streams_.at(id);
        const auto sent =
            ::send(stream.socket.raw(), stream.to_send.data(), stream.to_send.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return close(id);
        if (sent > 0) stream.to_send.erase(0, static_cast<std::size_t>(sent));
        if (stream.to_send.empty()) take_question(id);
    }

    /// Whoever neither asks nor takes the answer is let go.
    void wait_for(std::uint64_t id) {
        streams_.at(id).patience = around_.loop.after(stream_patience, [this, id] { close(id); });
    }

    void close(std::uint64_t id) { streams_.erase(id); }

    Surroundings around_;
    std::string asker_;
    DnsSockets sockets_;
    std::shared_ptr<const Fd> network_namespace_;
    Upstreams upstreams_;
    sys::Loop::Watch datagram_watch_;
    sys::Loop::Watch listener_watch_;
    std::map<std::uint64_t, Stream> streams_;
    std::uint64_t next_stream_ = 1;
};

}  // namespace

/// What belongs to the server's thread.
class NameServer::Service {
public:
    Service(sys::Loop& loop, const Directory& directory)
        : loop_(loop), directory_(directory), forwarder_(loop) {}

    void open(const std::string& asker, DnsSockets sockets,
              std::shared_ptr<const Fd> network_namespace, Upstreams upstreams) {
        auto desk = std::make_shared<Desk>(Desk::Surroundings{loop_, forwarder_, directory_}, asker,
                                           std::move(sockets), std::move(network_namespace),
                                           std::move(upstreams));
        if (auto opened = desk->open(); !opened)
            return log::error("name server of {}: {}", asker, opened.error().message());
        desks_[asker] = std::move(desk);
    }
    void close(const std::string& asker) { desks_.erase(asker); }

private:
    sys::Loop& loop_;
    const Directory& directory_;
    DnsForwarder forwarder_;
    std::map<std::string, std::shared_ptr<Desk>> desks_;
};

NameServer::NameServer(Directory directory) : directory_(std::move(directory)) {}

NameServer::~NameServer() {
    if (!thread_.joinable()) return;
    post([this](Service&) { loop_->stop(); });
    thread_.join();
}

Result<void> NameServer::start() {
    std::lock_guard once(starting_);
    if (thread_.joinable()) return {};
    loop_ = TRY(sys::Loop::create());
    wake_ = std::make_unique<sys::Event>(TRY(sys::Event::create()));
    service_ = std::make_unique<Service>(*loop_, directory_);
    wake_watch_ = TRY(loop_->watch(wake_->fd(), EPOLLIN, [this](std::uint32_t) {
        wake_->clear();
        const auto tasks = tasks_.with([](auto& waiting) { return std::exchange(waiting, {}); });
        for (const auto& task : tasks) task(*service_);
    }));
    thread_ = std::thread([this] { run(); });
    return {};
}

void NameServer::run() {
    ::pthread_setname_np(::pthread_self(), "names");
    if (auto done = loop_->run(); !done) log::error("name server: {}", done.error().message());
}

void NameServer::post(std::function<void(Service&)> task) {
    tasks_.with([&](auto& waiting) { waiting.push_back(std::move(task)); });
    wake_->set();
}

Result<void> NameServer::serve(const std::string& asker, Fd network_namespace,
                               Upstreams upstreams) {
    TRY(start());
    // Shared, because a task is copied.
    auto sockets = std::make_shared<DnsSockets>(TRY(open_dns_sockets(network_namespace)));
    auto inside = std::make_shared<const Fd>(std::move(network_namespace));
    post([asker, sockets, inside, upstreams = std::move(upstreams)](Service& service) {
        service.open(asker, std::move(*sockets), inside, upstreams);
    });
    return {};
}

void NameServer::stop(const std::string& asker) {
    {
        std::lock_guard once(starting_);
        if (!thread_.joinable()) return;
    }
    post([asker](Service& service) { service.close(asker); });
}

}  // namespace corten::network
