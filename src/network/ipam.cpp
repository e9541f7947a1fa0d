#include <network/ipam.hpp>

#include <algorithm>

namespace corten::network {

Ipam::Ipam(Subnet subnet, Ipv4 gateway, Subnet range)
    : subnet_(subnet.network()),
      range_(range.prefix == 0 ? subnet.network() : range.network()),
      gateway_(gateway) {}

bool Ipam::is_special(Ipv4 address) const {
    // /31 and /32 have neither a network nor a broadcast address (RFC 3021).
    if (subnet_.prefix >= 31) return address == gateway_;
    return address == gateway_ || address == subnet_.first() || address == subnet_.last();
}

Result<Ipv4> Ipam::allocate() {
    Ipv4 candidate = std::max(range_.first(), subnet_.first());
    // .1 is left to a gateway, also when the bridge has another address.
    const Ipv4 usual_gateway{subnet_.first().value + 1};
    const Ipv4 last = std::min(range_.last(), subnet_.last());
    for (; candidate <= last; ++candidate.value) {
        if (is_special(candidate) || candidate == usual_gateway || used_.contains(candidate))
            continue;
        used_.insert(candidate);
        return candidate;
    }
    return fail(ErrorKind::no_space,
                "no available IPv4 addresses on this network's address pools: {}", range_.text());
}

Result<void> Ipam::reserve(Ipv4 address) {
    if (!subnet_.contains(address))
        return fail(ErrorKind::invalid, "requested address {} is not in the network's subnet {}",
                    address.text(), subnet_.text());
    if (is_special(address) || !used_.insert(address).second)
        return fail(ErrorKind::conflict, "Address already in use: {}", address.text());
    return {};
}

}  // namespace corten::network
