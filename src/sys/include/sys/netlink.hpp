#pragma once
// Netlink without a library: a request is built in a buffer, sent, and answered by acknowledgements
// or by a dump of messages. Shared by rtnetlink (interfaces, addresses, routes) and nfnetlink
// (nft). Format: https://docs.kernel.org/userspace-api/netlink/intro.html; attributes are padded to
// 4 bytes and in host byte order unless the family says otherwise.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::sys {

using Bytes = std::span<const std::byte>;

/// The attributes of one message or of a nested attribute. Views into the message: valid inside the
/// callback that got it. Malformed input ends the list early, never reads beyond it.
class NetlinkAttributes {
public:
    NetlinkAttributes() = default;
    explicit NetlinkAttributes(Bytes bytes) : bytes_(bytes) {}

    /// The payload of the first attribute of this type (flag bits ignored).
    std::optional<Bytes> find(std::uint16_t type) const;
    std::optional<std::uint32_t> u32(std::uint16_t type) const;
    /// Big-endian, as nfnetlink has its numbers.
    std::optional<std::uint32_t> be32(std::uint16_t type) const;
    std::optional<std::uint64_t> be64(std::uint16_t type) const;
    /// Without the terminating NUL.
    std::optional<std::string_view> text(std::uint16_t type) const;
    NetlinkAttributes nested(std::uint16_t type) const;
    void each(const std::function<void(std::uint16_t type, Bytes payload)>& visit) const;

private:
    Bytes bytes_;
};

/// One received message: its header, the family's own header and what follows it.
struct NetlinkMessage {
    std::uint16_t type = 0;
    std::uint16_t flags = 0;
    Bytes payload;

    /// The family's fixed header (ifinfomsg, nfgenmsg, ...), zeros when the payload is shorter.
    template <typename Header>
    Header header() const {
        Header out{};
        if (payload.size() >= sizeof out) std::memcpy(&out, payload.data(), sizeof out);
        return out;
    }
    template <typename Header>
    NetlinkAttributes attributes() const {
        const std::size_t skip = NLMSG_ALIGN(sizeof(Header));
        return NetlinkAttributes(payload.size() > skip ? payload.subspan(skip) : Bytes());
    }
};

/// One or more messages to be sent together. begin() starts the next message.
class NetlinkRequest {
public:
    /// `flags` beside NLM_F_REQUEST; NLM_F_ACK asks for an answer to this message. `what` names
    /// the step in the error if the kernel refuses it.
    void begin(std::uint16_t type, std::uint16_t flags, std::string what = {});
    /// Asks for an answer to the message begun last, as NLM_F_ACK in begin() does.
    void acknowledge();
    template <typename Header>
    void header(const Header& value) {
        raw(&value, sizeof value);
    }
    void put(std::uint16_t type, const void* data, std::size_t size);
    void put_u8(std::uint16_t type, std::uint8_t value) { put(type, &value, sizeof value); }
    void put_u16(std::uint16_t type, std::uint16_t value) { put(type, &value, sizeof value); }
    void put_u32(std::uint16_t type, std::uint32_t value) { put(type, &value, sizeof value); }
    void put_be16(std::uint16_t type, std::uint16_t value);
    void put_be32(std::uint16_t type, std::uint32_t value);
    void put_be64(std::uint16_t type, std::uint64_t value);
    void put_text(std::uint16_t type, std::string_view text);
    void put_flag(std::uint16_t type) { put(type, nullptr, 0); }
    /// What `fill` adds becomes the payload of one nested attribute.
    void nest(std::uint16_t type, const std::function<void()>& fill);

    bool empty() const { return messages_.empty(); }
    std::size_t messages() const { return messages_.size(); }

private:
    friend class NetlinkSocket;
    struct Sent {
        std::size_t offset;
        std::string what;
        bool wants_ack;
    };
    void raw(const void* data, std::size_t size);
    void set_length();

    std::vector<std::byte> bytes_;
    std::vector<Sent> messages_;
};

/// A netlink socket. It belongs to the network namespace in which it was opened, for ever,
/// whichever thread uses it later. One request at a time: not for several threads at once.
class NetlinkSocket {
public:
    /// `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER. In the calling thread's namespace.
    static Result<NetlinkSocket> open(int protocol);
    /// In another namespace, through a helper thread.
    static Result<NetlinkSocket> open_in(FdView network_namespace, int protocol);

    /// Sends all messages and waits for the acknowledgement of each that asked for one. The first
    /// refusal is the error, with the kernel's own text when it gives one.
    Result<void> execute(NetlinkRequest request);
    /// Sends a dump or get request (a get must ask for NLM_F_ACK, which ends it) and hands each
    /// answering message to `visit`, once all are there: a dump that a change interrupted is asked
    /// again.
    Result<void> dump(const NetlinkRequest& request,
                      const std::function<void(const NetlinkMessage&)>& visit);

    /// The number of an interface in the socket's namespace; not_found when there is none of that
    /// name. Without the kernel's global lock (rtnl), which who deletes an interface holds for
    /// long.
    Result<int> interface_index(const std::string& name) const;

private:
    explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
    Result<void> send(NetlinkRequest& request);
    /// One datagram into buffer_; gives its length.
    Result<std::size_t> receive();
    Result<bool> collect(const NetlinkRequest& request, std::vector<std::byte>& answers);

    Fd fd_;
    std::uint32_t sequence_ = 0;  ///< of the last message sent
    std::vector<std::byte> buffer_;
};

}  // namespace corten::sys
