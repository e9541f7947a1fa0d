#include "conntrack.hpp"
#include "networks_state.hpp"

#include <base/clock.hpp>
#include <base/ids.hpp>
#include <base/log.hpp>
#include <base/rollback.hpp>

#include <netinet/in.h>

#include <cerrno>

namespace corten::network {

Networks::Networks(std::unique_ptr<State> state) : state_(std::move(state)) {}

Networks::~Networks() = default;

namespace {

Network predefined(std::string name, std::string driver, const std::vector<Network>& recorded) {
    for (const auto& network : recorded)
        if (network.name == name) return network;
    Network out;
    out.id = random_id();
    out.created = rfc3339(now());
    out.name = std::move(name);
    out.driver = std::move(driver);
    return out;
}

/// The default network's record follows the options of this start.
Network default_network(const Options& options, const Subnet& bip, Network record) {
    record.subnet = bip.network().text();
    record.gateway = bip.address.text();
    record.bridge = options.bridge;
    record.mtu = options.mtu;
    record.inter_container = options.inter_container;
    record.options = {
        {"com.docker.network.bridge.default_bridge", "true"},
        {"com.docker.network.bridge.enable_icc", options.inter_container ? "true" : "false"},
        {"com.docker.network.bridge.enable_ip_masquerade", "true"},
        {"com.docker.network.bridge.host_binding_ipv4", options.default_host_ip},
        {"com.docker.network.bridge.name", options.bridge},
        {"com.docker.network.driver.mtu", std::to_string(options.mtu)}};
    return record;
}

}  // namespace

Result<std::unique_ptr<Networks>> Networks::create(Options options, std::vector<Network> recorded) {
    const Subnet bip = TRY(Subnet::parse(options.bip).context("bip"));
    TRY(Ipv4::parse(options.default_host_ip).context("default host address"));
    Firewall firewall = TRY(Firewall::open(Firewall::table_for(options.bridge)));
    Rules rules{std::move(firewall), PortTable::with_kernel_range(), {}, {}};
    auto state = std::make_unique<State>(std::move(options), std::move(rules));
    State& s = *state;
    s.hairpin = bridge_netfilter_active();

    Network bridge = default_network(s.options, bip, predefined("bridge", "bridge", recorded));
    s.default_id = bridge.id;
    TRY(s.add_network(std::move(bridge)));
    for (auto& network : recorded)
        if (!is_predefined(network.name)) TRY(s.add_network(network));
    s.registry.with([&](Registry& registry) {
        registry.passive = {predefined("host", "host", recorded),
                            predefined("none", "null", recorded)};
    });
    return std::unique_ptr<Networks>(new Networks(std::move(state)));
}

Result<void> Networks::State::add_network(Network record) {
    const Ipv4 gateway = TRY(Ipv4::parse(record.gateway));
    const Subnet subnet = TRY(Subnet::parse(record.subnet));
    const Subnet range = record.ip_range.empty() ? Subnet{} : TRY(Subnet::parse(record.ip_range));
    Rtnl rtnl = TRY(Rtnl::open());
    Bridge bridge = TRY(ensure_bridge(rtnl, record.bridge, {gateway, subnet.prefix},
                                      static_cast<std::uint32_t>(record.mtu)));
    Rollback undo;
    if (bridge.made) undo.add([&] { remove_bridge(rtnl, record.bridge).ignore(); });
    TRY(set_bridge_sysctls(record.bridge));
    // A bridge that was there before us has its own address, and that is what counts.
    record.subnet = bridge.address.network().text();
    record.gateway = bridge.address.address.text();
    Ipam ipam(bridge.address.network(), bridge.address.address, range);
    registry.with([&](Registry& r) {
        r.active.emplace(record.id, ActiveNetwork{record, std::move(bridge), std::move(ipam)});
    });
    undo.commit();
    return {};
}

std::vector<FilteredNetwork> Networks::State::filtered() const {
    return registry.with([](const Registry& r) {
        std::vector<FilteredNetwork> out;
        out.reserve(r.active.size());
        for (const auto& [id, network] : r.active)
            out.push_back({network.bridge.name, network.bridge.address, network.record.internal,
                           network.record.inter_container, network.record.masquerade});
        return out;
    });
}

std::vector<Mapping> Rules::all_mappings() const {
    std::vector<Mapping> out;
    for (const auto& [id, some] : mappings) out.insert(out.end(), some.begin(), some.end());
    return out;
}

Result<void> Networks::State::reload_rules() {
    return rules.with([&](Rules& r) -> Result<void> {
        return r.firewall.replace(make_ruleset(filtered(), r.guarded, r.all_mappings()));
    });
}

Result<void> Networks::start() {
    State& s = *state_;
    const bool forwarded = forwarding_enabled();
    Rtnl rtnl = TRY(Rtnl::open());
    std::vector<std::string> guarded = TRY(hardware_interfaces(rtnl));
    TRY(s.rules.with([&](Rules& r) -> Result<void> {
        // Forwarding that is on may have been switched on by our predecessor.
        r.guarded = forwarded ? TRY(r.firewall.guarded()) : std::move(guarded);
        return {};
    }));
    TRY(s.reload_rules());
    // Only now, so that nothing is forwarded that the rules forbid.
    if (!forwarded) TRY(enable_forwarding());
    s.reaper.start();
    s.bridge_pool.start(s.options.pool_size);
    return {};
}

Result<Plug> Networks::State::reserve(const std::string& network_id, Ipv4 wanted) {
    return registry.with([&](Registry& r) -> Result<Plug> {
        const auto found = r.active.find(network_id);
        if (found == r.active.end())
            return fail(ErrorKind::not_found, "network {} not found", network_id);
        auto& [record, bridge, ipam] = found->second;
        Plug plug;
        if (wanted.is_any())
            plug.ip = TRY(ipam.allocate());
        else
            TRY(ipam.reserve(wanted));
        if (!wanted.is_any()) plug.ip = wanted;
        plug.bridge = bridge.index;
        plug.prefix = bridge.address.prefix;
        if (!record.internal) plug.gateway = bridge.address.address;
        plug.mac = MacAddress::from(plug.ip);
        plug.mtu = static_cast<std::uint32_t>(record.mtu);
        plug.hairpin = hairpin;
        plug.isolated = !record.inter_container;
        return plug;
    });
}

void Networks::State::give_back(const std::string& network_id, Ipv4 ip) {
    registry.with([&](Registry& r) {
        const auto found = r.active.find(network_id);
        if (found != r.active.end()) found->second.ipam.release(ip);
    });
}

Result<Pool::Item> Networks::State::make_plugged(const std::string& network_id, Ipv4 ip,
                                                 const std::optional<MacAddress>& mac) {
    Plug plug = TRY(reserve(network_id, ip));
    if (mac) plug.mac = *mac;
    auto made = make_sandbox(plug, options.sysctls);
    if (!made) give_back(network_id, plug.ip);
    return Pool::Item{plug, TRY(std::move(made))};
}

Result<Pool::Item> Networks::State::make_loopback() {
    return Pool::Item{{}, TRY(make_sandbox(std::nullopt, options.sysctls))};
}

Endpoint Networks::State::register_endpoint(const Network& network, const EndpointRequest& request,
                                            const Plug& plug, const std::string& host_interface) {
    Endpoint out;
    out.id = random_id();
    out.network_id = network.id;
    out.network_name = network.name;
    out.names = request.names;
    out.links = request.links;
    out.container_id = request.container_id;
    out.bridge = network.bridge;
    out.host_interface = host_interface;
    out.interface = plug.interface;
    out.ip = plug.ip.text();
    out.prefix = plug.prefix;
    if (!network.internal) out.gateway = network.gateway;
    out.mac = plug.mac.text();
    registry.with([&](Registry& r) {
        r.endpoints[out.id] = {.network_id = network.id,
                               .container_id = out.container_id,
                               .host_interface = host_interface,
                               .ip = plug.ip,
                               .interface = plug.interface,
                               .names = in_lower_case(out.names),
                               .links = out.links};
    });
    return out;
}

namespace {

struct Wanted {
    Ipv4 ip;
    std::optional<MacAddress> mac;
};

Result<Wanted> wanted_by(const EndpointRequest& request) {
    Wanted out;
    if (!request.ip.empty()) out.ip = TRY(Ipv4::parse(request.ip));
    if (!request.mac.empty()) out.mac = TRY(MacAddress::parse(request.mac));
    return out;
}

/// A prepared sandbox has the MAC that goes with its address.
Result<void> change_mac(Pool::Item& item, const MacAddress& mac) {
    RtnlBatch batch;
    batch.set_mac(TRY(item.sandbox.inside.index_of(item.plug.interface)), mac);
    item.plug.mac = mac;
    return item.sandbox.inside.execute(std::move(batch));
}

}  // namespace

Result<Sandbox> Networks::acquire(const EndpointRequest& request) {
    State& s = *state_;
    const Network network = TRY(find(request.network));
    const Wanted wanted = TRY(wanted_by(request));
    if (network.driver == "null") {
        s.loopback_pool.start(std::min(s.options.pool_size, 2U));
        return TRY(s.acquire_loopback());
    }
    if (network.driver != "bridge")
        return fail(ErrorKind::invalid, "network {} has no sandbox of its own", network.name);

    std::optional<Pool::Item> ready;
    if (network.id == s.default_id)
        ready = wanted.ip.is_any() ? s.bridge_pool.take() : s.bridge_pool.take(wanted.ip);
    const bool from_pool = ready.has_value();
    if (!from_pool) ready = TRY(s.make_plugged(network.id, wanted.ip, wanted.mac));
    Endpoint endpoint =
        s.register_endpoint(network, request, ready->plug, ready->sandbox.host_interface);
    if (from_pool && wanted.mac) {
        auto changed = change_mac(*ready, *wanted.mac);
        if (!changed) release(endpoint);
        TRY(std::move(changed));
        endpoint.mac = wanted.mac->text();
    }
    s.keep_inside(request.container_id, std::move(ready->sandbox.inside));
    return Sandbox{std::move(ready->sandbox.network_namespace), {std::move(endpoint)}, from_pool};
}

Result<Sandbox> Networks::State::acquire_loopback() {
    auto ready = loopback_pool.take();
    const bool from_pool = ready.has_value();
    if (!ready) ready = TRY(make_loopback());
    return Sandbox{std::move(ready->sandbox.network_namespace), {}, from_pool};
}

void Networks::State::keep_inside(const std::string& container_id, Rtnl inside) {
    registry.with([&](Registry& r) {
        r.containers[container_id] = std::make_shared<Serial<Rtnl>>(std::move(inside));
    });
}

Result<Endpoint> Networks::connect(const EndpointRequest& request, FdView network_namespace) {
    State& s = *state_;
    const Network network = TRY(find(request.network));
    const Wanted wanted = TRY(wanted_by(request));
    if (network.driver != "bridge")
        return fail(ErrorKind::invalid, "cannot connect to network {}", network.name);
    Rollback undo;
    Plug plug = TRY(s.reserve(network.id, wanted.ip));
    undo.add([&] { s.give_back(network.id, plug.ip); });
    plug.interface = request.interface;
    if (wanted.mac) plug.mac = *wanted.mac;
    if (s.has_default_route(request.container_id)) plug.gateway.reset();
    std::optional<Rtnl> inside;
    if (!s.inside_of(request.container_id)) inside = TRY(Rtnl::open_in(network_namespace));
    const std::string host_interface = TRY(plug_in(plug, network_namespace));
    undo.commit();
    if (inside) s.keep_inside(request.container_id, std::move(*inside));
    return s.register_endpoint(network, request, plug, host_interface);
}

bool Networks::State::has_default_route(const std::string& container_id) const {
    return registry.with([&](const Registry& r) {
        return std::ranges::any_of(r.endpoints, [&](const auto& entry) {
            const auto& known = entry.second;
            const auto network = r.active.find(known.network_id);
            return known.container_id == container_id && network != r.active.end() &&
                   !network->second.record.internal;
        });
    });
}

void Networks::State::reroute(const std::string& container_id) {
    struct Way {
        std::string interface;
        std::string gateway;
    };
    std::optional<Way> way;
    registry.with([&](const Registry& r) {
        for (const auto& [id, known] : r.endpoints) {
            const auto network = r.active.find(known.network_id);
            if (known.container_id != container_id || network == r.active.end()) continue;
            const auto& record = network->second.record;
            if (record.internal || (way && way->interface < known.interface)) continue;
            way = Way{known.interface, record.gateway};
        }
    });
    const Inside inside = inside_of(container_id);
    if (!way || !inside) return;
    auto done = inside->with([&](Rtnl& rtnl) -> Result<void> {
        RtnlBatch batch;
        batch.replace_default_route(TRY(Ipv4::parse(way->gateway)),
                                    TRY(rtnl.index_of(way->interface)));
        return rtnl.execute(std::move(batch));
    });
    if (!done)
        log::warning("default route of {}: {}, ignoring", container_id, done.error().message());
}

Result<void> Networks::adopt(const Endpoint& endpoint, Fd network_namespace) {
    State& s = *state_;
    const Ipv4 ip = TRY(Ipv4::parse(endpoint.ip));
    TRY(s.reserve(endpoint.network_id, ip).context("adopt " + endpoint.id));
    s.registry.with([&](Registry& r) {
        r.endpoints[endpoint.id] = {.network_id = endpoint.network_id,
                                    .container_id = endpoint.container_id,
                                    .host_interface = endpoint.host_interface,
                                    .ip = ip,
                                    .interface = endpoint.interface,
                                    .names = in_lower_case(endpoint.names),
                                    .links = endpoint.links};
    });
    if (network_namespace.valid())
        s.keep_inside(endpoint.container_id, TRY(Rtnl::open_in(network_namespace)));
    return s.rules.with([&](Rules& r) -> Result<void> {
        // The translation stays also when the port cannot be held again: it worked all the time.
        r.mappings[endpoint.id] = TRY(mappings_of(endpoint, endpoint.ports));
        return r.ports.hold_exactly(endpoint.id, endpoint.ports);
    });
}

Result<std::vector<Mapping>> mappings_of(const Endpoint& endpoint,
                                         std::span<const PublishedPort> ports) {
    std::vector<Mapping> out;
    const Ipv4 container = TRY(Ipv4::parse(endpoint.ip));
    for (const auto& port : ports)
        out.push_back({TRY(protocol_number(port.protocol)), TRY(Ipv4::parse(port.host_ip)),
                       port.host_port, container, port.container_port,
                       std::string(short_id(endpoint.container_id))});
    return out;
}

namespace {

Result<void> publish_in(Rules& r, Endpoint& endpoint, const std::vector<PortRequest>& wanted) {
    const auto chosen = TRY(r.ports.hold(endpoint.id, wanted));
    const auto mappings = TRY(mappings_of(endpoint, chosen));
    auto added = r.firewall.add(mappings);
    if (!added) r.ports.release(endpoint.id);
    TRY(std::move(added));
    auto& known = r.mappings[endpoint.id];
    known.insert(known.end(), mappings.begin(), mappings.end());
    endpoint.ports.insert(endpoint.ports.end(), chosen.begin(), chosen.end());
    return {};
}

}  // namespace

Result<void> Networks::publish(Endpoint& endpoint, std::string_view name,
                               std::span<const PortRequest> requests) {
    if (requests.empty()) return {};
    State& s = *state_;
    std::vector<PortRequest> wanted(requests.begin(), requests.end());
    for (auto& request : wanted)
        if (request.host_ip.empty()) request.host_ip = s.options.default_host_ip;
    const auto attempt = [&] {
        return s.rules.with([&](Rules& r) { return publish_in(r, endpoint, wanted); });
    };
    auto done = attempt();
    if (!done && done.error().number() == ENOENT) {
        // Somebody flushed all rules of the host, ours included.
        done = s.reload_rules();
        if (done) done = attempt();
    }
    if (done) s.forget_flows(TRY(mappings_of(endpoint, endpoint.ports)));
    return std::move(done).context(fmt::format(
        "driver failed programming external connectivity on endpoint {} ({})", name, endpoint.id));
}

void Networks::State::forget_flows(std::vector<Mapping> mappings) {
    const bool udp = std::ranges::any_of(
        mappings, [](const Mapping& mapping) { return mapping.protocol == IPPROTO_UDP; });
    if (!udp) return;
    // Off the way: the kernel walks its whole table for it, 4 ms with a quarter million buckets.
    reaper.add({.after = [mappings = std::move(mappings)] {
        if (auto done = forget_udp_flows(mappings); !done)
            log::warning("forget UDP flows: {}, ignoring", done.error().message());
    }});
}

namespace {

/// Gives what was published.
Result<std::vector<Mapping>> unpublish(Rules& r, const std::string& endpoint_id) {
    r.ports.release(endpoint_id);
    auto known = r.mappings.extract(endpoint_id);
    if (known.empty()) return std::vector<Mapping>();
    TRY(r.firewall.remove(known.mapped()));
    return std::move(known.mapped());
}

}  // namespace

void Networks::release(const Endpoint& endpoint) {
    State& s = *state_;
    auto done = s.rules.with([&](Rules& r) { return unpublish(r, endpoint.id); });
    // What is left in the table goes with its next replacement at the latest.
    if (done)
        s.forget_flows(std::move(*done));
    else
        log::warning("unpublish {}: {}, ignoring", endpoint.id, done.error().message());
    auto remains = s.forget(endpoint);
    if (!remains) return;
    if (remains->inside)
        s.name_server.stop(endpoint.container_id);
    else
        s.reroute(endpoint.container_id);
    s.reaper.add(std::move(*remains));
}

void Networks::disconnect(const Endpoint& endpoint) {
    release(endpoint);
    state_->reaper.wait();
}

std::optional<Remains> Networks::State::forget(const Endpoint& endpoint) {
    return registry.with([&](Registry& r) -> std::optional<Remains> {
        const auto known = r.endpoints.extract(endpoint.id);
        if (known.empty()) return std::nullopt;
        Remains remains;
        remains.host_interface = known.mapped().host_interface;
        remains.after = [this, id = known.mapped().network_id, ip = known.mapped().ip] {
            give_back(id, ip);
        };
        const bool last = std::ranges::none_of(r.endpoints, [&](const auto& entry) {
            return entry.second.container_id == known.mapped().container_id;
        });
        if (last) {
            auto inside = r.containers.extract(known.mapped().container_id);
            if (!inside.empty()) remains.inside = std::move(inside.mapped());
        }
        return remains;
    });
}

Result<void> Networks::reload() {
    return state_->reload_rules();
}

void Networks::wait_idle() {
    state_->reaper.wait();
    state_->bridge_pool.wait_full();
    state_->loopback_pool.wait_full();
}

}  // namespace corten::network
