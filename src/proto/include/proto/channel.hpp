#pragma once
// The frame of every message between the daemon and a supervisor: one JSON document per seqpacket
// message, with descriptors named by their role.
//
//   {"v":1,"seq":7,"type":"start","fds":["rootfs","netns"],"body":{...}}     request
//   {"v":1,"seq":7,"type":"ok","fds":[],"body":{...}}                        reply
//   {"v":1,"seq":7,"type":"error","fds":[],"body":{"kind":...,"errno":...}}  failed reply
//   {"v":1,"seq":0,"type":"exited","fds":[],"body":{...}}                    event
//
// A document too long for a socket buffer (an OCI spec with a large environment) travels in a
// memory file: the message is then the single byte 'M' and the file is its first descriptor.
#include <base/fd.hpp>
#include <base/json.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corten::proto {

/// Raised when an old peer could misread a new message. Fields that a peer may ignore do not count.
inline constexpr int version = 1;

/// Documents above this many bytes travel in a memory file.
inline constexpr std::size_t largest_inline = 64 << 10;

/// A descriptor and what it is for; the roles are listed with each request.
struct RoleFd {
    std::string role;
    FdView fd;
};
struct OwnedRoleFd {
    std::string role;
    Fd fd;
};

struct Envelope {
    int v = version;
    std::uint64_t seq = 0;
    std::string type;
    std::vector<std::string> fds;
    Json body = Json::object();

    static constexpr void fields(auto visit) {
        visit(field("v", &Envelope::v), field("seq", &Envelope::seq),
              field("type", &Envelope::type), field("fds", &Envelope::fds),
              field("body", &Envelope::body));
    }
};

struct Received {
    Envelope envelope;
    std::vector<OwnedRoleFd> fds;
    bool end = false;  ///< the peer closed

    /// Takes the descriptor of that role; invalid when there is none.
    Fd take(std::string_view role);
};

/// Sends without blocking: an error of kind unavailable when the peer does not read fast enough.
/// `fds` are in the order of envelope.fds, which this function fills in.
Result<void> send(FdView socket, Envelope envelope, const std::vector<RoleFd>& fds = {});
/// Receives one message, blocking as the socket does. Errors of kind corrupt (not this protocol)
/// and unsupported (another version) leave the channel usable for the next message.
Result<Received> receive(FdView socket);

/// An Error as a message carries it.
struct ErrorBody {
    std::string kind;
    int number = 0;    ///< errno, or 0
    std::string step;  ///< the step of container creation that failed, or empty
    std::string message;

    static constexpr void fields(auto visit) {
        visit(field("kind", &ErrorBody::kind), field("errno", &ErrorBody::number),
              field("step", &ErrorBody::step), field("message", &ErrorBody::message));
    }
};
ErrorBody to_body(const Error& error, std::string_view step = "");
/// The Error with its kind and errno; the step is in front of the message.
Error to_error(const ErrorBody& body);

}  // namespace corten::proto
