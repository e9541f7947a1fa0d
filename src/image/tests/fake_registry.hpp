#pragma once
// A registry that does what the test says, byte by byte: one thread, one request per connection.
#include <base/fd.hpp>
#include <base/text.hpp>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

namespace corten::image {

struct FakeRequest {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;

    std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
};

struct FakeReply {
    int status = 200;
    std::map<std::string, std::string> headers;
    std::string body;
    std::optional<std::size_t> announced;  ///< Content-Length when it is to be a lie
    bool stall = false;                    ///< keep the connection open after the body
};

/// Ends a connection without a FIN: the peer reads ECONNRESET.
inline void reset_connection(int fd) {
    const linger abrupt{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
}

class FakeRegistry {
public:
    using Handler = std::function<FakeReply(const FakeRequest&)>;

    explicit FakeRegistry(Handler handler) : handler_(std::move(handler)) {
        listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ::bind(listener_.raw(), reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::listen(listener_.raw(), 64);
        socklen_t size = sizeof address;
        ::getsockname(listener_.raw(), reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~FakeRegistry() {
        closing_ = true;
        ::shutdown(listener_.raw(), SHUT_RDWR);
        acceptor_.join();
        std::vector<std::thread> threads;
        {
            std::lock_guard lock(mutex_);
            for (const auto& fd : open_) ::shutdown(fd->raw(), SHUT_RDWR);
            threads.swap(threads_);
        }
        for (auto& thread : threads) thread.join();
    }

    std::string host() const { return fmt::format("127.0.0.1:{}", port_); }
    std::vector<FakeRequest> requests() {
        std::lock_guard lock(mutex_);
        return requests_;
    }
    std::size_t count(std::string_view target_part) {
        const auto all = requests();
        return static_cast<std::size_t>(std::ranges::count_if(
            all, [&](const FakeRequest& r) { return r.target.contains(target_part); }));
    }

private:
    void accept_all() {
        while (!closing_) {
            auto fd =
                std::make_shared<Fd>(::accept4(listener_.raw(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!fd->valid()) continue;
            std::lock_guard lock(mutex_);
            open_.push_back(fd);
            threads_.emplace_back([this, fd] { serve(*fd); });
        }
    }

    void serve(Fd& fd) {
        FakeRequest request;
        if (read_request(fd.raw(), request)) {
            {
                std::lock_guard lock(mutex_);
                requests_.push_back(request);
            }
            answer(fd.raw(), handler_(request), request.method == "HEAD");
        }
        std::lock_guard lock(mutex_);
        fd.reset();
        std::erase_if(open_, [&](const auto& each) { return each.get() == &fd; });
    }

    /// False for a TLS client: there is none here.
    static bool read_request(int fd, FakeRequest& request) {
        std::string text;
        char buffer[4096];
        while (text.find("\r\n\r\n") == text.npos) {
            const auto got = ::recv(fd, buffer, sizeof buffer, 0);
            if (got <= 0 || (text.empty() && buffer[0] == 0x16)) return false;
            text.append(buffer, static_cast<std::size_t>(got));
        }
        const std::size_t end = text.find("\r\n\r\n");
        const auto lines = split(text.substr(0, end), '\n');
        const auto words = split(trim(lines[0]), ' ');
        request.method = words[0];
        request.target = words.at(1);
        for (std::size_t i = 1; i < lines.size(); ++i) {
            const auto [name, value] = split_once(lines[i], ':');
            request.headers[to_lower(name)] = trim(value);
        }
        request.body = text.substr(end + 4);
        const auto length =
            static_cast<std::size_t>(request.header("content-length").empty()
                                         ? 0
                                         : std::stoul(request.header("content-length")));
        while (request.body.size() < length) {
            const auto got = ::recv(fd, buffer, sizeof buffer, 0);
            if (got <= 0) return false;
            request.body.append(buffer, static_cast<std::size_t>(got));
        }
        return true;
    }

    static void send_text(int fd, std::string_view text) {
        while (!text.empty()) {
            const auto sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    static void answer(int fd, const FakeReply& reply, bool head_only) {
        std::string head = fmt::format("HTTP/1.1 {} {}\r\nConnection: close\r\n", reply.status,
                                       reply.status == 200 ? "OK" : "Other");
        for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
        head +=
            fmt::format("Content-Length: {}\r\n\r\n", reply.announced.value_or(reply.body.size()));
        send_text(fd, head);
        if (!head_only) send_text(fd, reply.body);
        char byte;
        if (reply.stall) (void)::recv(fd, &byte, 1, 0);
    }

    Handler handler_;
    Fd listener_;
    int port_ = 0;
    std::atomic<bool> closing_ = false;
    std::thread acceptor_;
    std::mutex mutex_;
    std::vector<std::thread> threads_;
    std::vector<std::shared_ptr<Fd>> open_;
    std::vector<FakeRequest> requests_;
};

}  // namespace corten::image
