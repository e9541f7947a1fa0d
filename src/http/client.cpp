#include "body.hpp"

#include <base/text.hpp>
#include <http/client.hpp>
#include <sys/socket.hpp>

#include <poll.h>

#include <array>
#include <cerrno>

namespace corten::http {

struct Connection::State {
    Timeouts timeouts;
    std::string host_header;
    std::unique_ptr<Stream> stream;
    std::unique_ptr<Input> input;
    bool reusable = true;
    bool busy = false;  ///< an answer's body has not been read to its end

    Deadline deadline() const { return Deadline::in(timeouts.stall); }
};

struct Response::State {
    Connection::State& connection;
    BodyReader body;
    std::optional<std::uint64_t> length;

    /// The connection can go on exactly when the answer has been read.
    void note_end() {
        if (body.done()) connection.busy = false;
    }
};

Response::Response(std::unique_ptr<State> state) : state_(std::move(state)) {}
Response::Response(Response&&) noexcept = default;
Response& Response::operator=(Response&&) noexcept = default;
Response::~Response() = default;

Result<std::size_t> Response::read(std::span<char> buffer) {
    auto got = state_->body.read(buffer, state_->connection.deadline());
    if (!got.has_value()) state_->connection.reusable = false;
    state_->note_end();
    return got;
}

Result<std::string> Response::read_all(std::size_t limit) {
    std::string out;
    for (;;) {
        const auto old = out.size();
        const auto step = std::max<std::size_t>(
            std::min<std::uint64_t>(state_->body.remaining().value_or(16 << 10), 1 << 20), 1);
        out.resize(old + step);
        const auto got = TRY(read(std::span(out).subspan(old)));
        out.resize(old + got);
        if (got == 0) return out;
        if (out.size() > limit)
            return fail(ErrorKind::no_space, "answer is longer than {} bytes", limit);
    }
}

std::optional<std::uint64_t> Response::length() const {
    return state_->length;
}
FdView Response::fd() const {
    return state_->connection.stream->fd();
}
bool Response::has_buffered() const {
    return !state_->connection.input->data().empty() || state_->connection.stream->has_pending();
}

namespace {

std::string describe(const Endpoint& endpoint) {
    if (endpoint.kind == Endpoint::unix_socket) return endpoint.path;
    const bool v6 = endpoint.host.find(':') != std::string::npos;
    return fmt::format("{}{}{}:{}", v6 ? "[" : "", endpoint.host, v6 ? "]" : "", endpoint.port);
}

/// Asks a proxy to connect us to the endpoint (RFC 9110 9.3.6).
Result<void> ask_proxy(Stream& stream, const Url& proxy, const std::string& target,
                       Deadline deadline) {
    Headers headers{{"Host", target}};
    if (!proxy.user.empty())
        headers.add("Proxy-Authorization",
                    "Basic " + base64_encode(TRY(percent_decode(proxy.user))));
    std::string head = fmt::format("CONNECT {} HTTP/1.1\r\n", target);
    headers.append_to(head);
    TRY(stream.write(head + "\r\n"));
    Input input(stream);
    const Head answer = TRY(read_response_head(input, "CONNECT", deadline));
    if (answer.status / 100 != 2)
        return fail(ErrorKind::unavailable, "proxy {} answered {} {}", proxy.authority(),
                    answer.status, answer.reason);
    if (!input.data().empty())
        return fail(ErrorKind::unavailable, "proxy {} sent bytes too early", proxy.authority());
    return {};
}

Result<std::unique_ptr<Stream>> connect_stream(const Endpoint& endpoint, Deadline deadline) {
    if (endpoint.kind == Endpoint::unix_socket)
        return make_socket_stream(TRY(sys::connect_unix(endpoint.path, sys::SocketType::stream)));
    if (endpoint.proxy.empty())
        return make_socket_stream(TRY(connect_tcp(endpoint.host, endpoint.port, deadline)));
    const auto text = endpoint.proxy.find("://") == std::string::npos ? "http://" + endpoint.proxy
                                                                      : endpoint.proxy;
    const Url proxy = TRY(parse_url(text).context("proxy"));
    auto stream =
        make_socket_stream(TRY(connect_tcp(proxy.host, proxy.port, deadline).context("proxy")));
    TRY(ask_proxy(*stream, proxy, describe(endpoint), deadline));
    return stream;
}

/// The request line and headers. A Host header comes first, as Go and browsers send it.
std::string request_head(const ClientRequest& request, const std::string& host) {
    std::string head = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
    if (!request.headers.contains("Host")) head += "Host: " + host + "\r\n";
    request.headers.append_to(head);
    const bool may_have_body = request.method != "GET" && request.method != "HEAD";
    if (request.producer && !request.length)
        head += "Transfer-Encoding: chunked\r\n";
    else if (request.producer)
        head += fmt::format("Content-Length: {}\r\n", *request.length);
    else if (may_have_body || !request.body.empty())
        head += fmt::format("Content-Length: {}\r\n", request.body.size());
    head += "\r\n";
    return head;
}

/// Readable while nothing is awaited: the peer closed, or sent what nobody asked for.
bool has_unasked(const Stream& stream) {
    pollfd entry{stream.fd().raw(), POLLIN, 0};
    return stream.has_pending() || ::poll(&entry, 1, 0) > 0;
}

enum class Sent { whole, cut_short };

/// Sends one request. A peer may answer before it has read the whole body (progress of a load, or
/// a refusal); what it sends is kept meanwhile, or both sides would wait for each other.
class Sender {
public:
    Sender(Connection::State& state, const ClientRequest& request)
        : state_(state), request_(request) {}

    Result<Sent> send() {
        const std::string head = request_head(request_, state_.host_header);
        if (request_.producer) {
            if (TRY(write({head})) == Sent::cut_short) return Sent::cut_short;
            return send_produced();
        }
        return write({head, request_.body});
    }

private:
    Result<Sent> send_produced() {
        const bool chunked = !request_.length;
        std::uint64_t left = request_.length.value_or(0);
        std::vector<char> buffer(256 << 10);
        while (const auto got = TRY(request_.producer(buffer))) {
            if (!chunked && got > left)
                return fail(ErrorKind::invalid, "body is longer than its length {}",
                            *request_.length);
            left -= chunked ? 0 : got;
            if (TRY(write_piece({buffer.data(), got}, chunked)) == Sent::cut_short)
                return Sent::cut_short;
        }
        if (left != 0)
            return fail(ErrorKind::invalid, "body is {} bytes shorter than its length", left);
        return chunked ? write({"0\r\n\r\n"}) : Result<Sent>(Sent::whole);
    }

    Result<Sent> write_piece(std::string_view piece, bool chunked) {
        if (!chunked) return write({piece});
        return write({fmt::format("{:x}\r\n", piece.size()), piece, "\r\n"});
    }

    Result<Sent> write(std::initializer_list<std::string_view> parts) {
        std::array<std::string_view, 3> copy;
        std::copy(parts.begin(), parts.end(), copy.begin());
        auto left = drop_front(std::span(copy).first(parts.size()), 0);
        while (!left.empty()) {
            const Step step = TRY(state_.stream->try_write(left));
            if (step.kind == Step::moved)
                left = drop_front(left, step.bytes);
            else if (TRY(wait(step)) == Sent::cut_short)
                return Sent::cut_short;
        }
        return Sent::whole;
    }

    /// Waits for room, and takes in what the peer says in the meantime.
    Result<Sent> wait(Step step) {
        const bool for_room = step.kind == Step::wait_writable;
        pollfd entry{state_.stream->fd().raw(),
                     static_cast<short>(POLLIN | (for_room ? POLLOUT : 0)), 0};
        const int ready = ::poll(&entry, 1, state_.deadline().poll_timeout());
        if (ready < 0 && errno != EINTR) return fail_errno("poll");
        if (ready == 0)
            return Error::from_errno(ETIMEDOUT, "waiting for the peer to take the request");
        if (ready > 0 && (entry.revents & (POLLIN | POLLHUP))) return take_in();
        return Sent::whole;
    }

    Result<Sent> take_in() {
        const Step step = TRY(state_.input->try_fill());
        if (step.kind == Step::end) return Sent::cut_short;
        if (state_.input->data().size() > early_limit)
            return fail(ErrorKind::no_space, "the peer answers faster than it reads");
        // "HTTP/1.1 4": a refusal, so the rest of the body is of no use.
        const auto seen = state_.input->data();
        return seen.size() > 9 && seen[9] >= '3' ? Sent::cut_short : Sent::whole;
    }

    static constexpr std::size_t early_limit = 64 << 20;
    Connection::State& state_;
    const ClientRequest& request_;
};

}  // namespace

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() = default;

Result<std::unique_ptr<Connection>> Connection::open(const Endpoint& endpoint, Timeouts timeouts) {
    const auto deadline = Deadline::in(timeouts.connect);
    auto state = std::make_unique<State>();
    state->timeouts = timeouts;
    state->stream = TRY(connect_stream(endpoint, deadline));
    if (endpoint.tls)
        state->stream = TRY(endpoint.tls->connect(std::move(state->stream), endpoint.host, deadline)
                                .context(describe(endpoint)));
    state->input = std::make_unique<Input>(*state->stream);
    state->host_header = endpoint.host_header;
    if (state->host_header.empty())
        state->host_header =
            endpoint.kind == Endpoint::unix_socket ? "localhost" : describe(endpoint);
    return std::unique_ptr<Connection>(new Connection(std::move(state)));
}

Result<Response> Connection::send(const ClientRequest& request) {
    State& state = *state_;
    if (!state.stream || !state.reusable || state.busy)
        return fail(ErrorKind::internal, "the connection cannot take another request");
    state.reusable = false;  // until the head of the answer says otherwise
    auto sent = Sender(state, request).send();
    // A server may refuse a body, answer and close while we still write: its answer is what counts.
    const bool refused = !sent.has_value() &&
                         (sent.error().number() == EPIPE || sent.error().number() == ECONNRESET);
    if (!sent.has_value() && !refused) return std::move(sent).error();
    auto head = read_response_head(*state.input, request.method, state.deadline());
    if (!head.has_value()) return refused ? std::move(sent).error() : std::move(head).error();
    state.reusable =
        head->keep_alive && head->status != 101 && sent.has_value() && *sent == Sent::whole;

    Response response(std::make_unique<Response::State>(
        state, BodyReader(*state.input, head->framing, head->length), std::nullopt));
    if (head->framing == Framing::length) response.state_->length = head->length;
    state.busy = !response.state_->body.done();
    response.status = head->status;
    response.reason = std::move(head->reason);
    response.headers = std::move(head->headers);
    return response;
}

bool Connection::reusable() const {
    if (!state_->stream || !state_->reusable || state_->busy) return false;
    return state_->input->data().empty() && !has_unasked(*state_->stream);
}

Result<Upgraded> Connection::take_stream() {
    if (!state_->stream) return fail(ErrorKind::internal, "the stream was taken already");
    Upgraded upgraded{nullptr, state_->input->take()};
    upgraded.stream = std::move(state_->stream);
    return upgraded;
}

void Connection::set_timeouts(Timeouts timeouts) {
    state_->timeouts = timeouts;
}

Result<Endpoint> endpoint_of(const Url& url, std::shared_ptr<const TlsConnector> tls) {
    if (url.scheme != "http" && url.scheme != "https")
        return fail(ErrorKind::invalid, "{}: only http and https are spoken", to_string(url));
    if (url.scheme == "https" && !tls)
        return fail(ErrorKind::invalid, "{}: TLS is not set up", to_string(url));
    return Endpoint{.kind = Endpoint::tcp,
                    .host = url.host,
                    .port = url.port,
                    .tls = url.scheme == "https" ? std::move(tls) : nullptr,
                    .host_header = url.authority()};
}

}  // namespace corten::http
