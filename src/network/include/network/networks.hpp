#pragma once
// Networks is the door of this library: one object per daemon, made at start, safe to call from
// every thread. Life of an endpoint:
//
//   acquire() -> the sandbox (a namespace, plugged in and addressed) -> publish() -> the container
//   runs -> release().  After a restart of the daemon: adopt() each that still runs, then start().
//
// It puts on the host: the bridge interfaces, one veth per container (and per prepared sandbox),
// one nft table, sockets that hold the published ports, and switches IPv4 forwarding on.
#include <base/fd.hpp>
#include <network/explain.hpp>
#include <network/stats.hpp>
#include <network/types.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace corten::network {

struct Options {
    std::string bridge = "docker0";     ///< made when it is missing
    std::string bip = "172.17.0.1/16";  ///< the bridge's address; a bridge that has one keeps it
    std::int64_t mtu = 1500;
    unsigned pool_size = 4;  ///< prepared sandboxes per kind; 0 makes each when it is asked for
    bool inter_container = true;  ///< --icc
    std::string default_host_ip =
        "0.0.0.0";  ///< --ip: where ports without an address are published
    /// Written to /proc/sys/<path> in every sandbox before it is handed out.
    std::vector<std::pair<std::string, std::string>> sysctls = {
        {"net/ipv4/ip_unprivileged_port_start", "0"},
        {"net/ipv4/ping_group_range", "0 2147483647"},
    };
};

struct EndpointRequest {
    std::string container_id;
    std::string network = "bridge";  ///< name or id of a network; "none" gives loopback only
    std::string ip;                  ///< empty: the lowest free one
    std::string mac;                 ///< empty: made from the address
    std::string interface = "eth0";
    std::vector<std::string> names;  ///< what others on the network shall find it by
    std::vector<PrivateName> links;  ///< what it finds others by, besides their names
};

/// Who answers what no container's name does.
struct Upstreams {
    std::vector<std::string> servers;  ///< addresses, asked in order
    bool from_inside = false;          ///< asked from the container's network, not the host's
};

/// A network namespace ready for a container. The descriptor is the caller's: pass it on to the
/// supervisor and close it. The namespace goes when its last descriptor and process have.
struct Sandbox {
    Fd network_namespace;
    std::vector<Endpoint> endpoints;  ///< empty for "none"
    bool from_pool = false;
};

class Networks {
public:
    /// Finds or makes the bridge of `options` and those of `recorded` (user-defined networks).
    /// Fails with conflict when the subnet is already routed elsewhere.
    static Result<std::unique_ptr<Networks>> create(Options options,
                                                    std::vector<Network> recorded = {});
    /// Stops the background thread and closes the pool; leaves bridges, rules and running
    /// containers as they are.
    ~Networks();

    /// Before start(), for each endpoint that still runs: reserves its address and holds its
    /// ports again. `network_namespace` is optional and only used for stats and explain.
    Result<void> adopt(const Endpoint& endpoint, Fd network_namespace = {});
    /// Replaces the nft table in one transaction with what is adopted, and begins to fill the pool.
    Result<void> start();

    /// Puts the nft table back as it has to be, when another program flushed the host's rules.
    /// publish() does so by itself.
    Result<void> reload();

    /// Under 1 ms when the pool has one. The endpoint is not known to anybody else until the
    /// caller has recorded it; after a failure later in the start, release() it.
    Result<Sandbox> acquire(const EndpointRequest& request);
    /// A further endpoint in a namespace that exists (network connect).
    Result<Endpoint> connect(const EndpointRequest& request, FdView network_namespace);

    /// Opens the container's name server, 127.0.0.11 in its namespace, until its last endpoint is
    /// released. It knows the names of the endpoints that share a user-defined network with one of
    /// the container's.
    Result<void> serve_names(const std::string& container_id, FdView network_namespace,
                             Upstreams upstreams);
    /// From now on the endpoint is found by these names.
    void set_names(const std::string& endpoint_id, std::vector<std::string> names);

    /// Publishes all or none. The error is docker's: "driver failed programming external
    /// connectivity on endpoint NAME (ID): Bind for 0.0.0.0:8080 failed: port is already
    /// allocated". Fills in endpoint.ports with what was chosen.
    Result<void> publish(Endpoint& endpoint, std::string_view name,
                         std::span<const PortRequest> requests);
    /// Takes the ports back at once; the interface and the address go in the background. What is
    /// not known any more is fine.
    void release(const Endpoint& endpoint);
    /// As release(), and the interface is gone on return: the container goes on without it, and its
    /// next may have the same name.
    void disconnect(const Endpoint& endpoint);

    std::vector<Network> list() const;
    /// By name, id or a prefix of the id that is unique; not_found otherwise.
    Result<Network> find(std::string_view name_or_id) const;
    /// A user-defined bridge network: fills in id, subnet, gateway, bridge where they are empty.
    Result<Network> create_network(Network wanted);
    /// forbidden for predefined networks, conflict while endpoints are on it.
    Result<void> remove_network(std::string_view name_or_id);
    /// The gateway of the default bridge, for host-gateway.
    std::string host_gateway() const;

    /// Counters of the container's own interfaces; empty when it has none.
    Result<std::vector<InterfaceStats>> stats(std::string_view container_id) const;
    Result<EndpointReport> explain(const Endpoint& endpoint) const;
    /// Those of the host itself, which containers with --network host have.
    Result<std::vector<InterfaceReport>> host_interfaces() const;

    /// Waits until the pool is full and everything released is gone. For tests and benches.
    void wait_idle();
    /// Removes what this daemon put on the host: nft table, pool, and each bridge that it made and
    /// nothing hangs on. For `cortend --remove-network` and tests; containers lose their network.
    Result<void> remove();

private:
    struct State;
    explicit Networks(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace corten::network
