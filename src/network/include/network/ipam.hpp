#pragma once
// Address management of one network, in memory: the engine's records are the truth, and are
// reserved again at start.
#include <network/address.hpp>

#include <set>

namespace corten::network {

class Ipam {
public:
    /// Addresses come from `range` (the whole subnet when it has prefix 0). The gateway, the
    /// network's own address, its first host address (where a gateway is looked for) and the
    /// broadcast address are never given out.
    Ipam(Subnet subnet, Ipv4 gateway, Subnet range = {});

    /// The lowest free address; no_space when there is none.
    Result<Ipv4> allocate();
    /// One given address; invalid outside the subnet, conflict when it is in use.
    Result<void> reserve(Ipv4 address);
    void release(Ipv4 address) { used_.erase(address); }
    bool in_use(Ipv4 address) const { return used_.contains(address); }
    std::size_t used() const { return used_.size(); }
    const Subnet& subnet() const { return subnet_; }

private:
    bool is_special(Ipv4 address) const;

    Subnet subnet_;
    Subnet range_;
    Ipv4 gateway_;
    std::set<Ipv4> used_;
};

}  // namespace corten::network
