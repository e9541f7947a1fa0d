#include "sandbox.hpp"

#include <base/ids.hpp>
#include <sys/file.hpp>
#include <sys/namespaces.hpp>

#include <cerrno>
#include <thread>

namespace corten::network {

namespace {

constexpr int name_attempts = 8;

/// Adds up the time between its calls.
class StopWatch {
public:
    void lap(std::chrono::nanoseconds& into) {
        const auto now = std::chrono::steady_clock::now();
        into = now - last_;
        last_ = now;
    }

private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Seven hex digits after "veth", as docker names them; a name that is taken is drawn again.
Result<std::string> create_veth(Rtnl& host, const Plug& plug, FdView network_namespace) {
    Result<void> made = fail(ErrorKind::internal, "no veth name was tried");
    for (int attempt = 0; attempt < name_attempts; ++attempt) {
        std::string name = "veth" + random_hex(4).substr(0, 7);
        RtnlBatch batch;
        batch.create_veth(
            {name, plug.bridge, plug.interface, network_namespace, plug.mac, plug.mtu});
        made = host.execute(std::move(batch));
        if (made) return name;
        if (made.error().number() != EEXIST) break;
    }
    return std::move(made).error();
}

Result<void> set_port_flags(Rtnl& host, const Plug& plug, const std::string& name) {
    if (!plug.hairpin && !plug.isolated) return {};
    const int index = TRY(host.index_of(name));
    RtnlBatch flags;
    if (plug.hairpin) flags.set_hairpin(index);
    if (plug.isolated) flags.set_isolated(index);
    return host.execute(std::move(flags));
}

/// Runs inside the namespace. What is made next there comes up without IPv6, or with it again;
/// loopback exists already and keeps ::1. Setting it on the interface itself would take the
/// kernel's global lock, by trying again and again.
Result<void> set_ipv6_for_new_interfaces(bool enabled) {
    constexpr const char* path = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    if (!sys::exists(path)) return {};  // a kernel without IPv6
    return sys::write_existing(path, enabled ? "0" : "1");
}

/// Runs inside the namespace (CVE-2020-13401).
Result<void> ignore_router_advertisements(const std::string& interface) {
    const std::string path = fmt::format("/proc/sys/net/ipv6/conf/{}/accept_ra", interface);
    if (!sys::exists(path)) return {};
    return sys::write_existing(path, "0");
}

/// Runs inside the new namespace.
Result<void> write_sysctls(const Sysctls& sysctls) {
    for (const auto& [path, value] : sysctls)
        TRY(sys::write_existing("/proc/sys/" + path, value).context("sandbox"));
    return {};
}

void bring_up(RtnlBatch& batch, const Plug& plug, int index) {
    batch.add_address(index, {plug.ip, plug.prefix});
    batch.set_up(index);
    if (plug.gateway) batch.add_default_route(*plug.gateway, index);
}

/// The port passes packets on and the bridge itself can send: the host's answers go through it.
/// True as well where that is not to be expected: the bridge is down.
Result<bool> forwards(Rtnl& host, const std::string& port_name) {
    const auto port = TRY(host.find(port_name));
    if (!port) return fail(ErrorKind::io, "interface {} vanished", port_name);
    const auto bridge = TRY(host.find(port->master));
    if (!bridge) return fail(ErrorKind::io, "the bridge of {} vanished", port_name);
    return !bridge->up || (port->forwards && bridge->operational);
}

/// The kernel tells a bridge of a port's carrier, and the host of the bridge's, by a worker that
/// comes late on a busy machine; since 6.8 at once when somebody asks for the link, as here. What
/// is sent before is lost, and a lost ARP request costs a second.
Result<void> wait_until_forwarding(Rtnl& host, const std::string& port_name) {
    using namespace std::chrono_literals;
    constexpr auto pause = 200us;
    const auto deadline = std::chrono::steady_clock::now() + 1s;
    while (!TRY(forwards(host, port_name))) {
        // A bridge that listens first (STP): the container starts all the same, as with docker.
        if (std::chrono::steady_clock::now() > deadline) break;
        std::this_thread::sleep_for(pause);
    }
    return {};
}

/// Runs on a thread of its own that ends afterwards: it stays in the new namespace.
Result<MadeSandbox> make_here(const std::optional<Plug>& plug, const Sysctls& sysctls) {
    constexpr int loopback = 1;  // the first interface of every namespace
    Rtnl host = TRY(Rtnl::open());
    SandboxTimes times;
    StopWatch watch;
    TRY(sys::unshare_network_namespace());
    MadeSandbox made{TRY(sys::current_network_namespace()), TRY(Rtnl::open()), {}, {}};
    watch.lap(times.create);
    RtnlBatch batch;
    batch.set_up(loopback);
    if (plug) {
        TRY(set_ipv6_for_new_interfaces(false));
        made.host_interface = TRY(create_veth(host, *plug, made.network_namespace));
        TRY(set_port_flags(host, *plug, made.host_interface));
        watch.lap(times.plug);
        TRY(set_ipv6_for_new_interfaces(true));
        TRY(ignore_router_advertisements(plug->interface));
        bring_up(batch, *plug, TRY(made.inside.index_of(plug->interface)));
    }
    TRY(write_sysctls(sysctls));
    watch.lap(times.sysctl);
    TRY(made.inside.execute(std::move(batch)));
    if (plug) TRY(wait_until_forwarding(host, made.host_interface));
    watch.lap(times.address);
    made.times = times;
    return made;
}

}  // namespace

Result<MadeSandbox> make_sandbox(const std::optional<Plug>& plug, const Sysctls& sysctls) {
    std::optional<Result<MadeSandbox>> made;
    std::thread([&] { made = make_here(plug, sysctls); }).join();
    return std::move(*made).context("make network sandbox");
}

Result<std::string> plug_in(const Plug& plug, FdView network_namespace) {
    Rtnl host = TRY(Rtnl::open());
    Rtnl inside = TRY(Rtnl::open_in(network_namespace));
    std::string name;
    TRY(sys::in_network_namespace(network_namespace, [&]() -> Result<void> {
        TRY(set_ipv6_for_new_interfaces(false));
        auto made = create_veth(host, plug, network_namespace);
        TRY(set_ipv6_for_new_interfaces(true));
        name = TRY(std::move(made));
        return ignore_router_advertisements(plug.interface);
    }));
    TRY(set_port_flags(host, plug, name));
    RtnlBatch batch;
    bring_up(batch, plug, TRY(inside.index_of(plug.interface)));
    TRY(inside.execute(std::move(batch)));
    TRY(wait_until_forwarding(host, name));
    return name;
}

}  // namespace corten::network
