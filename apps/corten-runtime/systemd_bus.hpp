#pragma once
// A connection to systemd's own socket, systemd/private in /run or in a user's runtime directory,
// in the D-Bus protocol (dbus.freedesktop.org/doc/dbus-specification.html), as far as calls of its
// manager need it. The libraries for it exist as shared ones only, and this program is static.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace corten::runtime_cli {

/// Values of a body, each at the multiple of its size that the protocol wants, little-endian.
class BusWriter {
public:
    void align(std::size_t to);
    void byte(std::uint8_t value) { bytes_ += static_cast<char>(value); }
    void u32(std::uint32_t value) { number(value, sizeof value); }
    void u64(std::uint64_t value) { number(value, sizeof value); }
    /// The lowest so many bytes.
    void number(std::uint64_t value, std::size_t size);
    void text(std::string_view value);
    void signature(std::string_view value);
    /// Begins an array whose elements are aligned so; end_array() writes its length.
    std::size_t begin_array(std::size_t alignment);
    void end_array(std::size_t begun, std::size_t alignment);
    const std::string& bytes() const { return bytes_; }
    void append(const BusWriter& other) { bytes_ += other.bytes_; }

private:
    std::string bytes_;
};

using BusPairs = std::vector<std::pair<std::string, std::string>>;
using BusBytes = std::vector<std::uint8_t>;
/// A number of the type "y", "n", "q", "i", "u", "x", "t" or "d"; the lower bits count.
struct BusScalar {
    char type = 'i';
    std::uint64_t bits = 0;
    bool operator==(const BusScalar&) const = default;
};
/// A property: of type "s", "b", "t", that of the number, "as", "au", "ay" or "a(ss)".
using BusValue = std::variant<std::string, bool, std::uint64_t, BusScalar, std::vector<std::string>,
                              std::vector<std::uint32_t>, BusBytes, BusPairs>;
using BusProperties = std::vector<std::pair<std::string, BusValue>>;
/// As the array "a(sv)".
void write_properties(BusWriter& out, const BusProperties& properties);

/// The systemd that is the machine's (or the container's, whose root we are), or the one of the
/// user as whom we came here.
enum class Manager { system, user };
/// The machine's belongs to its root; also in a user namespace that says who that is: us, or nobody
/// whom it knows (podman of an ordinary user makes itself root of such a one).
Manager reachable_manager();

class SystemdBus {
public:
    /// unsupported where no such systemd runs.
    static Result<SystemdBus> connect(Manager manager = reachable_manager());
    /// A connection on which we are known already.
    explicit SystemdBus(Fd socket) : socket_(std::move(socket)) {}
    /// Calls a method of org.freedesktop.systemd1.Manager. Gives the first string of its answer, ""
    /// when there is none. The error has systemd's sentence; not_found when the unit is not loaded.
    Result<std::string> call(std::string_view method, std::string_view signature,
                             const BusWriter& body);
    /// A property of the manager whose value is a string.
    Result<std::string> property(std::string_view name);
    /// Waits until a job is done; its result ("done", "failed", ...) is an error unless "done".
    Result<void> wait_for_job(const std::string& job);

private:
    struct Message {
        std::uint8_t type = 0;
        std::uint32_t reply_to = 0;
        std::string member;
        std::string error;
        std::string signature;
        std::string body;
    };
    Result<void> authenticate();
    Result<Message> ask(std::string_view interface, std::string_view method,
                        std::string_view signature, const BusWriter& body);
    Result<std::string> read_exactly(std::size_t size);
    Result<Message> read_message();
    void note_finished(const Message& message);

    Fd socket_;
    std::uint32_t serial_ = 0;
    /// Jobs that ended while we waited for something else, with their results.
    std::vector<std::pair<std::string, std::string>> finished_;
};

}  // namespace corten::runtime_cli
