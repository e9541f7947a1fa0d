#pragma once
// The two sockets of a container's name server, made in its network namespace.
#include <base/fd.hpp>
#include <base/result.hpp>

namespace corten::network {

struct DnsSockets {
    Fd datagram;
    Fd listener;
};

/// Bound to ports of 127.0.0.11 that the kernel chooses, with an nft table of the namespace's own
/// that leads port 53 there; the table of a former server is replaced. Works on a thread of its
/// own.
Result<DnsSockets> open_dns_sockets(FdView network_namespace);

}  // namespace corten::network
