#include "context.hpp"
#include "filters.hpp"
#include "network_attach.hpp"

#include <base/text.hpp>
#include <engine/networks.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace corten::engine {

namespace {

constexpr std::array filter_keys = {"dangling", "driver", "id", "label", "name", "scope", "type"};

/// The containers that are on a network now.
std::map<std::string, apitypes::NetworkContainer> members(const Context& context,
                                                          const std::string& network_id) {
    std::map<std::string, apitypes::NetworkContainer> out;
    for (const auto& container : context.containers.all())
        for (const auto& endpoint : container->state().endpoints)
            if (endpoint.network_id == network_id)
                out[container->id()] = {
                    .name = container->name(),
                    .endpoint_id = endpoint.id,
                    .mac_address = endpoint.mac,
                    .ipv4_address = fmt::format("{}/{}", endpoint.ip, endpoint.prefix),
                    .ipv6_address = {}};
    return out;
}

apitypes::NetworkInspect render(const network::Network& network) {
    apitypes::NetworkInspect out;
    out.name = network.name;
    out.id = network.id;
    out.created = network.created;
    out.driver = network.driver;
    std::vector<apitypes::IpamPool> pools;
    if (!network.subnet.empty())
        pools.push_back({.subnet = network.subnet,
                         .ip_range = network.ip_range,
                         .gateway = network.gateway,
                         .aux_addresses = {}});
    if (network.driver != "null" && network.driver != "host") out.ipam.config = std::move(pools);
    out.internal = network.internal;
    out.attachable = network.attachable;
    out.options = network.options;
    out.labels = network.labels;
    return out;
}

/// The networks that a running container is on.
std::set<std::string> used_networks(const Context& context) {
    std::set<std::string> out;
    for (const auto& container : context.containers.all())
        for (const auto& endpoint : container->state().endpoints) out.insert(endpoint.network_id);
    return out;
}

/// The filters of a list.
class NetworkFilter {
public:
    static Result<NetworkFilter> create(const Context& context, const Filters& filters) {
        TRY(check_filter_keys(filters, filter_keys));
        return NetworkFilter(filters, filters.contains("dangling") ? used_networks(context)
                                                                   : std::set<std::string>());
    }

    bool matches(const network::Network& network) const {
        return std::ranges::all_of(filters_, [&](const auto& filter) {
            const std::string& key = filter.first;
            const auto& values = filter.second;
            if (key == "id") return ids_.match(network.id);
            if (key == "name") return names_.match(network.name);
            const auto one = [&](const std::string& value) {
                return matches_one(network, key, value);
            };
            return key == "label" ? std::ranges::all_of(values, one)
                                  : std::ranges::any_of(values, one);
        });
    }

private:
    NetworkFilter(const Filters& filters, std::set<std::string> used)
        : filters_(filters), ids_(filters, "id"), names_(filters, "name"), used_(std::move(used)) {}

    bool matches_one(const network::Network& network, const std::string& key,
                     const std::string& value) const {
        const bool predefined = network::is_predefined(network.name);
        if (key == "driver") return network.driver == value;
        if (key == "scope") return value == "local";
        if (key == "label") return label_matches(network.labels, value);
        if (key == "type") return value == (predefined ? "builtin" : "custom");
        return is_true(value) == (!used_.contains(network.id) && !predefined);  // dangling
    }

    const Filters& filters_;
    Patterns ids_;
    Patterns names_;
    std::set<std::string> used_;
};

}  // namespace

void publish_network_event(Context& context, std::string action, const network::Network& network,
                           const std::string& container_id) {
    std::map<std::string, std::string> attributes{{"name", network.name}, {"type", network.driver}};
    if (!container_id.empty()) attributes["container"] = container_id;
    context.events.publish(
        make_event("network", std::move(action), network.id, std::move(attributes)));
}

Networks::Networks(Context& context) : context_(context) {}

Result<std::vector<apitypes::NetworkInspect>> Networks::list(const Filters& filters) const {
    const auto filter = TRY(NetworkFilter::create(context_, filters));
    std::vector<apitypes::NetworkInspect> out;
    for (const auto& network : context_.networks->list())
        if (filter.matches(network)) out.push_back(render(network));
    return out;
}

Result<apitypes::NetworkInspect> Networks::inspect(std::string_view ref) const {
    const auto network = TRY(context_.networks->find(ref));
    auto out = render(network);
    out.containers = members(context_, network.id);
    return out;
}

namespace {

/// What is asked for and not built is refused with its name.
Result<void> check_built(const apitypes::NetworkCreateRequest& request) {
    const auto unbuilt = [](std::string_view what) {
        return fail(ErrorKind::not_built, "{} not implemented", what);
    };
    if (request.enable_ipv6.value_or(false)) return unbuilt("IPv6 networks are");
    if (!request.enable_ipv4.value_or(true)) return unbuilt("networks without IPv4 are");
    if (!request.driver.empty() && request.driver != "bridge" && request.driver != "default")
        return fail(ErrorKind::not_built, "network driver \"{}\" is not implemented: bridge is",
                    request.driver);
    if (!request.scope.empty() && request.scope != "local") return unbuilt("swarm networks are");
    if (request.ingress) return unbuilt("ingress networks are");
    if (request.config_only || (request.config_from && !request.config_from->network.empty()))
        return unbuilt("networks of configuration only are");
    if (!request.ipam) return {};
    const auto& ipam = *request.ipam;
    if (!ipam.driver.empty() && ipam.driver != "default") return unbuilt("other IPAM drivers are");
    if (!apitypes::items(ipam.options).empty()) return unbuilt("IPAM options are");
    if (ipam.config && ipam.config->size() > 1)
        return unbuilt("several subnets in a bridge network are");
    if (ipam.config && !ipam.config->empty() && !ipam.config->front().aux_addresses.empty())
        return unbuilt("auxiliary addresses are");
    return {};
}

network::Network wanted_network(const apitypes::NetworkCreateRequest& request) {
    network::Network wanted;
    wanted.name = request.name;
    wanted.driver = "bridge";
    wanted.internal = request.internal;
    wanted.attachable = request.attachable;
    wanted.options = apitypes::items(request.options);
    wanted.labels = apitypes::items(request.labels);
    if (request.ipam && request.ipam->config && !request.ipam->config->empty()) {
        const auto& pool = request.ipam->config->front();
        wanted.subnet = pool.subnet;
        wanted.gateway = pool.gateway;
        wanted.ip_range = pool.ip_range;
    }
    return wanted;
}

}  // namespace

Result<apitypes::NetworkCreateReply> Networks::create(
    const apitypes::NetworkCreateRequest& request) {
    TRY(check_built(request));
    const auto made = TRY(context_.networks->create_network(wanted_network(request)));
    if (const auto kept = context_.network_store.put(made); !kept) {
        context_.networks->remove_network(made.id).ignore();  // the first error counts
        return kept.error();
    }
    publish_network_event(context_, "create", made);
    return apitypes::NetworkCreateReply{.id = made.id, .warning = {}};
}

Result<void> Networks::remove(std::string_view ref) {
    const auto network = TRY(context_.networks->find(ref));
    TRY(context_.networks->remove_network(network.id));
    TRY(context_.network_store.remove(network.id));
    publish_network_event(context_, "destroy", network);
    return {};
}

namespace {

/// Which networks a prune may take, unless they are in use.
class Prunable {
public:
    static Result<Prunable> from(const Filters& filters) {
        constexpr std::array known = {"label", "label!", "until"};
        TRY(check_filter_keys(filters, known));
        Prunable out(filters);
        for (const auto& text : values(filters, "until"))
            out.before_ = std::min(out.before_.value_or(WallTime::max()), TRY(until_time(text)));
        return out;
    }

    bool includes(const network::Network& network) const {
        const auto has = [&](const std::string& label) {
            return label_matches(network.labels, label);
        };
        if (network::is_predefined(network.name)) return false;
        if (!std::ranges::all_of(values(filters_, "label"), has)) return false;
        if (std::ranges::any_of(values(filters_, "label!"), has)) return false;
        if (!before_) return true;
        const auto created = parse_rfc3339(network.created);
        return created && *created < *before_;
    }

private:
    explicit Prunable(const Filters& filters) : filters_(filters) {}
    static std::vector<std::string> values(const Filters& filters, const std::string& key) {
        const auto found = filters.find(key);
        return found == filters.end() ? std::vector<std::string>() : found->second;
    }

    const Filters& filters_;
    std::optional<WallTime> before_;
};

}  // namespace

Result<apitypes::NetworksPruned> Networks::prune(const Filters& filters) {
    const auto prunable = TRY(Prunable::from(filters));
    std::unique_lock prune(context_.prune, std::try_to_lock);
    if (!prune) return fail(ErrorKind::conflict, "a prune operation is already running");
    apitypes::NetworksPruned pruned;
    for (const auto& network : context_.networks->list()) {
        if (!prunable.includes(network) || !remove(network.id)) continue;  // in use
        if (!pruned.networks_deleted) pruned.networks_deleted.emplace();
        pruned.networks_deleted->push_back(network.name);
    }
    publish_prune_event(context_, "network", 0);
    return pruned;
}

}  // namespace corten::engine
