// The names by which the containers of a network find each other.
#include "networks_state.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <algorithm>
#include <map>
#include <random>

namespace corten::network {

namespace {

bool is_called(const KnownEndpoint& endpoint, const std::string& network, std::string_view name) {
    return std::ranges::any_of(endpoint.names, [&](const std::string& own) {
        return name == own || (name.size() == own.size() + 1 + network.size() &&
                               name.starts_with(own + ".") && name.ends_with(network));
    });
}

/// Each of several containers of one name comes first as often as the others.
void shuffle(std::vector<Ipv4>& addresses) {
    thread_local std::minstd_rand dice(std::random_device{}());
    std::ranges::shuffle(addresses, dice);
}

}  // namespace

std::vector<std::string> in_lower_case(const std::vector<std::string>& names) {
    std::vector<std::string> out;
    out.reserve(names.size());
    for (const auto& name : names) out.push_back(to_lower(name));
    return out;
}

namespace {

/// What an asker sees of one network: who is on it, and the links that it has there.
struct View {
    std::string network;
    std::vector<PrivateName> links;

    bool finds(const KnownEndpoint& endpoint, std::string_view name) const {
        return is_called(endpoint, network, name) ||
               std::ranges::any_of(links, [&](const PrivateName& link) {
                   return link.container_id == endpoint.container_id &&
                          to_lower(link.alias) == name;
               });
    }
};

/// By network id. The default bridge is none of them.
std::map<std::string, View> views_of(const Registry& registry, const std::string& asker,
                                     const std::string& default_id) {
    std::map<std::string, View> views;
    for (const auto& [id, endpoint] : registry.endpoints) {
        const auto network = registry.active.find(endpoint.network_id);
        if (endpoint.container_id != asker || endpoint.network_id == default_id ||
            network == registry.active.end())
            continue;
        views[endpoint.network_id] = {to_lower(network->second.record.name), endpoint.links};
    }
    return views;
}

}  // namespace

NameAnswer Networks::State::look_up(const std::string& asker, const DnsQuestion& question) const {
    const auto address = question.wants_pointer() ? question.reversed_address() : std::nullopt;
    if (!question.internet || (question.wants_pointer() && !address)) return {};
    NameAnswer answer;
    registry.with([&](const Registry& r) {
        const auto views = views_of(r, asker, default_id);
        for (const auto& [id, endpoint] : r.endpoints) {
            const auto view = views.find(endpoint.network_id);
            if (view == views.end() || endpoint.names.empty()) continue;
            if (address ? endpoint.ip != *address : !view->second.finds(endpoint, question.name))
                continue;
            answer.known = true;
            if (address) answer.name = endpoint.names.front() + "." + view->second.network;
            if (question.wants_addresses()) answer.addresses.push_back(endpoint.ip);
        }
    });
    shuffle(answer.addresses);
    return answer;
}

Result<void> Networks::serve_names(const std::string& container_id, FdView network_namespace,
                                   Upstreams upstreams) {
    return state_->name_server.serve(container_id, TRY(sys::duplicate(network_namespace)),
                                     std::move(upstreams));
}

void Networks::set_names(const std::string& endpoint_id, std::vector<std::string> names) {
    state_->registry.with([&](Registry& r) {
        const auto known = r.endpoints.find(endpoint_id);
        if (known != r.endpoints.end()) known->second.names = in_lower_case(names);
    });
}

}  // namespace corten::network
