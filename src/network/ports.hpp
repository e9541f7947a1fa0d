#pragma once
// The host's side of published ports: which are taken, and the sockets that hold them, so that no
// other program can take one while it is translated away from it.
#include <base/fd.hpp>
#include <network/address.hpp>
#include <network/types.hpp>

#include <map>
#include <span>
#include <string>
#include <vector>

namespace corten::network {

/// IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP; invalid for any other name.
Result<std::uint8_t> protocol_number(std::string_view name);

/// A port that is held; gives it back when it is destroyed or erased from the table.
struct HeldPort {
    std::uint8_t protocol = 0;
    Ipv4 ip;
    std::uint16_t port = 0;
    Fd socket;  ///< empty where the kernel has no such protocol: then nobody else can listen either
};

class PortTable {
public:
    /// Ephemeral ports come from `first`..`last`, in turn.
    PortTable(std::uint16_t first, std::uint16_t last) : first_(first), last_(last), next_(first) {}
    /// With the kernel's range (ip_local_port_range) of the calling thread's namespace.
    static PortTable with_kernel_range();

    /// Holds all of them for `owner`, or none. conflict when a port is taken.
    Result<std::vector<PublishedPort>> hold(const std::string& owner,
                                            std::span<const PortRequest> requests);
    /// Holds again what a former daemon published.
    Result<void> hold_exactly(const std::string& owner, std::span<const PublishedPort> ports);
    void release(const std::string& owner) { held_.erase(owner); }

private:
    Result<HeldPort> hold_one(const PortRequest& request);
    Result<HeldPort> hold_ephemeral(std::uint8_t protocol, Ipv4 ip);
    bool taken(std::uint8_t protocol, Ipv4 ip, std::uint16_t port) const;
    Result<HeldPort> try_port(std::uint8_t protocol, Ipv4 ip, std::uint16_t port) const;

    std::uint16_t first_;
    std::uint16_t last_;
    std::uint16_t next_;
    std::map<std::string, std::vector<HeldPort>> held_;
};

}  // namespace corten::network
