#pragma once
// Making one sandbox: a network namespace with loopback up and, unless it is for "none", a veth
// pair whose one end hangs on the bridge and whose other end is addressed and up inside.
#include "rtnl.hpp"

#include <base/fd.hpp>
#include <network/types.hpp>

#include <chrono>
#include <optional>

namespace corten::network {

/// Where a new veth goes and what its inner end gets.
struct Plug {
    int bridge = 0;  ///< the bridge's index
    std::string interface = "eth0";
    Ipv4 ip;
    unsigned prefix = 0;
    std::optional<Ipv4> gateway;  ///< none on internal networks
    MacAddress mac;
    std::uint32_t mtu = 1500;
    bool hairpin = false;
    bool isolated = false;
};

using Sysctls = std::vector<std::pair<std::string, std::string>>;

/// How long each step took, for benches and for `explain`.
struct SandboxTimes {
    std::chrono::nanoseconds create{};  ///< unshare: the kernel makes the namespace
    std::chrono::nanoseconds plug{};    ///< the veth pair, on the bridge
    std::chrono::nanoseconds sysctl{};
    std::chrono::nanoseconds address{};  ///< addresses, routes, interfaces up
};

struct MadeSandbox {
    Fd network_namespace;
    Rtnl inside;  ///< keeps the namespace alive as the descriptor does
    std::string host_interface;
    SandboxTimes times;
};

/// On a thread of its own, which enters the new namespace and ends. The caller's namespace is the
/// host's. When it fails nothing is left: the namespace goes and takes the veth along.
Result<MadeSandbox> make_sandbox(const std::optional<Plug>& plug, const Sysctls& sysctls);

/// A further interface in a namespace that exists. Gives the name of its host end.
Result<std::string> plug_in(const Plug& plug, FdView network_namespace);

}  // namespace corten::network
