#include <sys/ioctl.h>
#include <sys/namespaces.hpp>
#include <sys/netlink.hpp>
#include <sys/socket.h>

#include <endian.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>

namespace corten::sys {

namespace {

constexpr std::uint16_t type_mask = static_cast<std::uint16_t>(NLA_TYPE_MASK);
constexpr int dump_attempts = 16;

/// Messages and attributes start at multiples of four bytes.
constexpr std::size_t aligned(std::size_t length) {
    return (length + 3) & ~std::size_t{3};
}

/// What follows an item of this length; the last one may come without its padding.
Bytes after(Bytes bytes, std::size_t length) {
    return bytes.subspan(std::min(bytes.size(), aligned(length)));
}

/// Reads a value that may stand unaligned.
template <typename T>
std::optional<T> load(const std::optional<Bytes>& bytes) {
    if (!bytes || bytes->size() < sizeof(T)) return std::nullopt;
    T value;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
}

}  // namespace

void NetlinkAttributes::each(const std::function<void(std::uint16_t, Bytes)>& visit) const {
    Bytes rest = bytes_;
    while (rest.size() >= sizeof(nlattr)) {
        nlattr attribute;
        std::memcpy(&attribute, rest.data(), sizeof attribute);
        if (attribute.nla_len < sizeof attribute || attribute.nla_len > rest.size()) return;
        visit(attribute.nla_type & type_mask,
              rest.subspan(NLA_HDRLEN, attribute.nla_len - std::size_t{NLA_HDRLEN}));
        rest = after(rest, attribute.nla_len);
    }
}

std::optional<Bytes> NetlinkAttributes::find(std::uint16_t type) const {
    std::optional<Bytes> found;
    each([&](std::uint16_t candidate, Bytes payload) {
        if (candidate == type && !found) found = payload;
    });
    return found;
}

std::optional<std::uint32_t> NetlinkAttributes::u32(std::uint16_t type) const {
    return load<std::uint32_t>(find(type));
}

std::optional<std::uint32_t> NetlinkAttributes::be32(std::uint16_t type) const {
    const auto value = u32(type);
    return value ? std::optional(be32toh(*value)) : std::nullopt;
}

std::optional<std::uint64_t> NetlinkAttributes::be64(std::uint16_t type) const {
    const auto value = load<std::uint64_t>(find(type));
    return value ? std::optional(be64toh(*value)) : std::nullopt;
}

std::optional<std::string_view> NetlinkAttributes::text(std::uint16_t type) const {
    const auto bytes = find(type);
    if (!bytes) return std::nullopt;
    const std::string_view all(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    return all.substr(0, all.find('\0'));
}

NetlinkAttributes NetlinkAttributes::nested(std::uint16_t type) const {
    return NetlinkAttributes(find(type).value_or(Bytes()));
}

void NetlinkRequest::begin(std::uint16_t type, std::uint16_t flags, std::string what) {
    const std::size_t offset = bytes_.size();
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
    messages_.push_back({offset, std::move(what), (flags & NLM_F_ACK) != 0});
    raw(&head, sizeof head);
}

void NetlinkRequest::acknowledge() {
    const std::size_t at = messages_.back().offset + offsetof(nlmsghdr, nlmsg_flags);
    std::uint16_t flags = 0;
    std::memcpy(&flags, bytes_.data() + at, sizeof flags);
    flags |= NLM_F_ACK;
    std::memcpy(bytes_.data() + at, &flags, sizeof flags);
    messages_.back().wants_ack = true;
}

void NetlinkRequest::raw(const void* data, std::size_t size) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + aligned(size));
    if (size > 0) std::memcpy(bytes_.data() + at, data, size);
    set_length();
}

void NetlinkRequest::set_length() {
    const std::size_t offset = messages_.back().offset;
    const auto length = static_cast<std::uint32_t>(bytes_.size() - offset);
    std::memcpy(bytes_.data() + offset + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void NetlinkRequest::put(std::uint16_t type, const void* data, std::size_t size) {
    const nlattr attribute{static_cast<std::uint16_t>(NLA_HDRLEN + size), type};
    raw(&attribute, sizeof attribute);
    raw(data, size);
}

void NetlinkRequest::put_be16(std::uint16_t type, std::uint16_t value) {
    put_u16(type, htobe16(value));
}

void NetlinkRequest::put_be32(std::uint16_t type, std::uint32_t value) {
    put_u32(type, htobe32(value));
}

void NetlinkRequest::put_be64(std::uint16_t type, std::uint64_t value) {
    const std::uint64_t swapped = htobe64(value);
    put(type, &swapped, sizeof swapped);
}

void NetlinkRequest::put_text(std::uint16_t type, std::string_view text) {
    const std::string terminated(text);
    put(type, terminated.c_str(), terminated.size() + 1);
}

void NetlinkRequest::nest(std::uint16_t type, const std::function<void()>& fill) {
    const std::size_t at = bytes_.size();
    put(static_cast<std::uint16_t>(type | NLA_F_NESTED), nullptr, 0);
    fill();
    const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at + offsetof(nlattr, nla_len), &length, sizeof length);
}

Result<NetlinkSocket> NetlinkSocket::open(int protocol) {
    Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
    if (!fd) return fail_errno("netlink socket");
    const int on = 1;
    // Both are refinements (the kernel's own error text, short acknowledgements) that old kernels
    // lack; nothing here depends on them.
    (void)::setsockopt(fd.raw(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void)::setsockopt(fd.raw(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    const int room = 1 << 20;
    (void)::setsockopt(fd.raw(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    sockaddr_nl self{};
    self.nl_family = AF_NETLINK;
    if (::bind(fd.raw(), reinterpret_cast<const sockaddr*>(&self), sizeof self) < 0)
        return fail_errno("bind netlink socket");
    return NetlinkSocket(std::move(fd));
}

Result<NetlinkSocket> NetlinkSocket::open_in(FdView network_namespace, int protocol) {
    std::optional<NetlinkSocket> socket;
    TRY(in_network_namespace(network_namespace, [&]() -> Result<void> {
        socket = TRY(open(protocol));
        return {};
    }));
    return std::move(*socket);
}

Result<int> NetlinkSocket::interface_index(const std::string& name) const {
    ifreq request{};
    if (name.size() >= sizeof request.ifr_name)
        return fail(ErrorKind::invalid, "interface name {} is too long", name);
    std::memcpy(request.ifr_name, name.c_str(), name.size() + 1);
    // Any socket takes this question, and it is about the socket's namespace.
    if (::ioctl(fd_.raw(), SIOCGIFINDEX, &request) < 0) {
        const int number = errno;
        const auto kind = number == ENODEV ? ErrorKind::not_found : ErrorKind::io;
        return Error::from_errno(number, fmt::format("interface {}", name)).with_kind(kind);
    }
    return request.ifr_ifindex;
}

namespace {

/// A request goes out as one datagram, and one that is larger than the buffer is refused
/// (EMSGSIZE): a table with thousands of published ports is. The kernel keeps a part for itself.
void make_room_to_send(const Fd& socket, std::size_t size) {
    constexpr std::size_t always_there = 64 << 10;
    if (size <= always_there) return;
    const int room = static_cast<int>(2 * size);
    // Refused without CAP_NET_ADMIN; then the send tells.
    (void)::setsockopt(socket.raw(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
}

}  // namespace

Result<void> NetlinkSocket::send(NetlinkRequest& request) {
    for (const auto& message : request.messages_) {
        ++sequence_;
        std::memcpy(request.bytes_.data() + message.offset + offsetof(nlmsghdr, nlmsg_seq),
                    &sequence_, sizeof sequence_);
    }
    make_room_to_send(fd_, request.bytes_.size());
    ssize_t sent = -1;
    do {
        sent = ::send(fd_.raw(), request.bytes_.data(), request.bytes_.size(), 0);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return fail_errno("netlink send of {} bytes", request.bytes_.size());
    return {};
}

Result<std::size_t> NetlinkSocket::receive() {
    // The kernel fills datagrams of a dump up to 32 KiB when the reader has that much room.
    buffer_.resize(32 << 10);
    ssize_t got = -1;
    do {
        got = ::recv(fd_.raw(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return fail_errno("netlink receive");
    if (static_cast<std::size_t>(got) > buffer_.size())
        return fail(ErrorKind::internal, "netlink datagram of {} bytes", got);
    return static_cast<std::size_t>(got);
}

namespace {

/// Calls `visit` with the header and payload of each message in a datagram, until it says false.
void each_message(Bytes datagram, const std::function<bool(const nlmsghdr&, Bytes)>& visit) {
    while (datagram.size() >= sizeof(nlmsghdr)) {
        nlmsghdr head;
        std::memcpy(&head, datagram.data(), sizeof head);
        if (head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size()) return;
        if (!visit(head, datagram.subspan(NLMSG_HDRLEN, head.nlmsg_len - NLMSG_HDRLEN))) return;
        datagram = after(datagram, head.nlmsg_len);
    }
}

/// The outcome that an NLMSG_ERROR message tells: an error, or an acknowledgement (error 0).
Result<void> outcome_of(const nlmsghdr& head, Bytes payload, std::string_view what) {
    int number = 0;
    if (payload.size() < sizeof(nlmsgerr)) return fail(ErrorKind::internal, "short netlink error");
    std::memcpy(&number, payload.data(), sizeof number);
    if (number == 0) return {};
    nlmsgerr detail;
    std::memcpy(&detail, payload.data(), sizeof detail);
    std::string text(what.empty() ? "netlink request" : what);
    if (head.nlmsg_flags & NLM_F_ACK_TLVS) {
        const std::size_t echoed =
            head.nlmsg_flags & NLM_F_CAPPED ? 0 : detail.msg.nlmsg_len - std::size_t{NLMSG_HDRLEN};
        const std::size_t skip = sizeof detail + aligned(echoed);
        if (skip < payload.size())
            if (const auto said = NetlinkAttributes(payload.subspan(skip)).text(NLMSGERR_ATTR_MSG))
                text += fmt::format(" ({})", *said);
    }
    return Error::from_errno(-number, text);
}

/// A dump that fails half-way says so in the number that its last message carries.
Result<void> end_of_dump(Bytes payload) {
    int number = 0;
    if (payload.size() >= sizeof number) std::memcpy(&number, payload.data(), sizeof number);
    if (number < 0) return Error::from_errno(-number, "netlink dump");
    return {};
}

}  // namespace

Result<void> NetlinkSocket::execute(NetlinkRequest request) {
    TRY(send(request));
    const auto count = static_cast<std::uint32_t>(request.messages_.size());
    const std::uint32_t first = sequence_ - count + 1;
    auto wanted = std::ranges::count_if(request.messages_, &NetlinkRequest::Sent::wants_ack);
    Result<void> outcome;
    while (wanted > 0 && outcome) {
        const std::size_t length = TRY(receive());
        each_message(Bytes(buffer_).first(length), [&](const nlmsghdr& head, Bytes payload) {
            // Answers to an earlier request that failed half-way may still be queued.
            const std::uint32_t index = head.nlmsg_seq - first;
            if (head.nlmsg_type != NLMSG_ERROR || index >= count) return true;
            outcome = outcome_of(head, payload, request.messages_[index].what);
            if (request.messages_[index].wants_ack) --wanted;
            return outcome.has_value();
        });
    }
    return outcome;
}

/// Appends the answers to `answers`, whole messages one after the other. False: interrupted.
Result<bool> NetlinkSocket::collect(const NetlinkRequest& request,
                                    std::vector<std::byte>& answers) {
    bool done = false;
    bool interrupted = false;
    Result<void> outcome;
    while (!done && outcome) {
        const std::size_t length = TRY(receive());
        each_message(Bytes(buffer_).first(length), [&](const nlmsghdr& head, Bytes payload) {
            if (head.nlmsg_seq != sequence_) return true;
            if (head.nlmsg_flags & NLM_F_DUMP_INTR) interrupted = true;
            if (head.nlmsg_type == NLMSG_ERROR)
                outcome = outcome_of(head, payload, request.messages_.back().what);
            if (head.nlmsg_type == NLMSG_DONE) outcome = end_of_dump(payload);
            done = head.nlmsg_type == NLMSG_ERROR || head.nlmsg_type == NLMSG_DONE;
            if (done) return false;
            const auto* start = payload.data() - NLMSG_HDRLEN;
            answers.insert(answers.end(), start, start + head.nlmsg_len);
            answers.resize(aligned(answers.size()));
            return true;
        });
    }
    TRY(std::move(outcome));
    return !interrupted;
}

Result<void> NetlinkSocket::dump(const NetlinkRequest& request,
                                 const std::function<void(const NetlinkMessage&)>& visit) {
    std::vector<std::byte> answers;
    for (int attempt = 0; attempt < dump_attempts; ++attempt) {
        NetlinkRequest copy = request;
        TRY(send(copy));
        answers.clear();
        // What was interrupted for the last time is still the best picture there is.
        if (TRY(collect(request, answers))) break;
    }
    each_message(answers, [&](const nlmsghdr& head, Bytes payload) {
        visit({head.nlmsg_type, head.nlmsg_flags, payload});
        return true;
    });
    return {};
}

}  // namespace corten::sys
