#pragma once
// Connections that the kernel remembers. UDP has no end of a connection: a client that goes on
// sending keeps the old translation alive, past the container that it led to.
#include "firewall.hpp"

namespace corten::network {

/// Forgets the UDP flows that begin at the mappings' host ports or lead to their container ports.
/// Reads the whole table once (about 1 ms per 2,000 entries); nothing is read without UDP mappings.
Result<void> forget_udp_flows(std::span<const Mapping> mappings);

}  // namespace corten::network
