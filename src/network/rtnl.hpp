#pragma once
// rtnetlink: interfaces, addresses, routes of one network namespace. Several changes go to the
// kernel in one send: Rtnl::Batch collects them, execute() sends them.
// Format: https://docs.kernel.org/networking/netlink_spec/rt_link.html and its neighbours.
#include <network/address.hpp>
#include <network/stats.hpp>
#include <sys/netlink.hpp>

#include <optional>
#include <string>
#include <vector>

namespace corten::network {

struct Link {
    int index = 0;
    std::string name;
    MacAddress mac;
    std::uint32_t mtu = 0;
    bool up = false;
    int master = 0;            ///< index of the bridge it hangs on; 0 for none
    bool forwards = false;     ///< a bridge port that passes packets on already
    bool operational = false;  ///< has a carrier, and the kernel's sending side knows it
    std::string kind;          ///< "bridge", "veth"; empty for hardware and loopback
    std::string alias;
    InterfaceStats stats;
};

struct LinkAddress {
    int link = 0;
    Subnet address;
};

struct Route {
    Subnet destination;  ///< prefix 0: the default route
    std::optional<Ipv4> gateway;
    std::optional<Ipv4> source;
    int link = 0;
};

struct VethRequest {
    std::string host_name;
    int master = 0;  ///< the bridge's index
    std::string inner_name;
    FdView network_namespace;  ///< where the inner end is made, down
    MacAddress inner_mac;
    std::uint32_t mtu = 1500;
};

/// Changes that are sent together, in order. A change that fails does not stop the later ones.
class RtnlBatch {
public:
    void create_bridge(const std::string& name, const MacAddress& mac, std::uint32_t mtu);
    /// The host end is made up and on its bridge; the inner end down in the other namespace.
    void create_veth(const VethRequest& request);
    void delete_link(int index);
    void set_group(int index, std::uint32_t group);
    void delete_group(std::uint32_t group);
    void set_up(int index);
    void set_mac(int index, const MacAddress& mac);
    /// Only for interfaces that are down, on kernels before 6.2.
    void rename(int index, const std::string& name);
    void set_alias(int index, std::string_view alias);
    void set_hairpin(int index);
    /// Ports that are isolated talk to the bridge, not to each other.
    void set_isolated(int index);
    void add_address(int index, const Subnet& address);
    void delete_address(int index, const Subnet& address);
    void add_default_route(Ipv4 gateway, int index);
    /// In the place of another, or as the first.
    void replace_default_route(Ipv4 gateway, int index);

private:
    friend class Rtnl;
    void begin_link(std::uint16_t type, int index, std::string what, std::uint16_t flags = 0);
    void default_route(Ipv4 gateway, int index, std::uint16_t flags);
    void port_flag(int index, std::uint16_t attribute, std::string_view what);

    sys::NetlinkRequest request_;
};

/// A namespace's rtnetlink socket; like the socket, for one thread at a time.
class Rtnl {
public:
    static Result<Rtnl> open();
    static Result<Rtnl> open_in(FdView network_namespace);

    Result<void> execute(RtnlBatch batch) { return socket_.execute(std::move(batch.request_)); }

    /// Deletes them as one, for the price of one (the kernel waits for all readers once). Links
    /// that vanish meanwhile are fine.
    Result<void> delete_links(const std::vector<int>& indices);

    /// Without the kernel's global lock; not_found when there is none of that name.
    Result<int> index_of(const std::string& name) const { return socket_.interface_index(name); }
    /// nullopt when there is none of that name.
    Result<std::optional<Link>> find(const std::string& name);
    /// nullopt when there is none of that index.
    Result<std::optional<Link>> find(int index);
    Result<std::vector<Link>> links();
    Result<std::vector<LinkAddress>> addresses();
    /// The main table's.
    Result<std::vector<Route>> routes();

private:
    explicit Rtnl(sys::NetlinkSocket socket) : socket_(std::move(socket)) {}
    Result<std::optional<Link>> find(const sys::NetlinkRequest& request);

    sys::NetlinkSocket socket_;
};

}  // namespace corten::network
