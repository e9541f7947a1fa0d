#pragma once
// Bridge interfaces and the host settings they need. All of it is for the calling thread's network
// namespace.
#include "rtnl.hpp"

#include <network/types.hpp>

namespace corten::network {

/// A bridge that is there and up.
struct Bridge {
    int index = 0;
    std::string name;
    Subnet address;     ///< the gateway of its network
    bool made = false;  ///< just now; it was not there before
};

/// Finds or makes the bridge. A missing one is made with `address`; an existing one keeps the
/// address it has in `address`'s place if it has any. conflict when the subnet of a bridge to be
/// made overlaps an address or route of another interface.
Result<Bridge> ensure_bridge(Rtnl& rtnl, const std::string& name, const Subnet& address,
                             std::uint32_t mtu);
/// Only when it is ours and nothing hangs on it; interfaces whose namespace has just ended are
/// waited for.
Result<void> remove_bridge(Rtnl& rtnl, const std::string& name);

/// Settings in /proc/sys/net for a bridge: published ports on 127.0.0.1 (route_localnet), no router
/// advertisements from containers (CVE-2020-13401), no IPv6 on a bridge without (CVE-2024-32473).
Result<void> set_bridge_sysctls(const std::string& name);

bool forwarding_enabled();
Result<void> enable_forwarding();
/// The interfaces of this host that, once forwarding is on, would begin to forward to each other:
/// its network cards. Bridges and tunnels are left out: who makes those wants forwarding.
Result<std::vector<std::string>> hardware_interfaces(Rtnl& rtnl);

/// True when bridged packets pass the IP hooks too (br_netfilter): a container that reaches itself
/// by a published port then needs its bridge port in hairpin mode.
bool bridge_netfilter_active();

}  // namespace corten::network
