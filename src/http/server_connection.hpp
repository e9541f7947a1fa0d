#pragma once
// One client: reads requests, calls the handler, until one of the two wants no more.
#include "body.hpp"
#include "registry.hpp"

namespace corten::http {

class ServerConnection {
public:
    /// Starts a thread that serves the socket and enters it in the registry.
    static Result<void> launch(const std::shared_ptr<Server::Shared>& shared, Fd socket,
                               const std::shared_ptr<const TlsAcceptor>& tls);

    ServerConnection(std::shared_ptr<Server::Shared> shared, Server::Shared::Id id,
                     std::unique_ptr<Stream> stream, std::string peer);
    ~ServerConnection();

    void run();

private:
    friend class Request;
    friend class ResponseWriter;

    enum class Next { keep_alive, close };

    Result<std::optional<Head>> next_head();
    Next serve(Head head);
    void call_handler(Request& request, ResponseWriter& answer);
    Next finish_request(ResponseWriter& answer);
    void answer_bad_head(const Error& error);
    /// Reads what is left of the request's body; false when it is too much.
    bool drain(std::uint64_t most, Deadline deadline);
    /// Closes in a way that lets the client read the answer before it notices.
    void linger();
    Result<void> write(std::span<const std::string_view> parts);
    Result<std::size_t> read_body(std::span<char> buffer);
    Result<FdView> gone_fd();
    Result<Hijacked> hijack(std::string_view head);
    Result<Hijacked> hijack_websocket(std::string_view head, MessageKind kind);
    Result<Fd> pumped_socket();

    std::shared_ptr<Server::Shared> shared_;
    Server::Shared::Id id_;
    std::unique_ptr<Stream> stream_;
    Input input_;
    std::string peer_;

    // About the request at hand.
    std::optional<Head> head_;
    std::optional<BodyReader> body_;
    bool continue_due_ = false;  ///< the client waits for 100 before it sends the body
    bool broken_ = false;
    bool close_announced_ = false;
    bool hijacked_ = false;
    std::chrono::milliseconds write_stall_;
    Fd gone_;  ///< epoll that only knows about the client's end
};

}  // namespace corten::http
