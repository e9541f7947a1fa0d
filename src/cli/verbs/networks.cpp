#include "../specs.hpp"
#include "../table.hpp"
#include "../verbs.hpp"

#include <apitypes/network.hpp>
#include <base/text.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

std::string path_of(const std::string& name) {
    return "/networks/" + escape(name);
}

std::string yes_no(bool value) {
    return value ? "true" : "false";
}

Json network_row(const Json& network, bool shorten) {
    const std::string id = network.value("Id", "");
    Json row = {{"CreatedAt", network.value("Created", "")},
                {"Driver", network.value("Driver", "")},
                {"ID", shorten ? id.substr(0, 12) : id},
                {"IPv4", yes_no(network.value("EnableIPv4", true))},
                {"IPv6", yes_no(network.value("EnableIPv6", false))},
                {"Internal", yes_no(network.value("Internal", false))},
                {"Labels", join_labels(network.value("Labels", Json::object()))},
                {"Name", network.value("Name", "")},
                {"Scope", network.value("Scope", "")}};
    row[labels_member] = network.value("Labels", Json::object());
    return row;
}

/// --subnet, --gateway, --ip-range and --aux-address belong together by the order they come in,
/// when there is one of each; several subnets find theirs by containing them, which the daemon
/// checks.
Result<std::vector<apitypes::IpamPool>> make_pools(const FlagValues& flags) {
    const auto& subnets = flags.list("subnet");
    const auto& gateways = flags.list("gateway");
    const auto& ranges = flags.list("ip-range");
    if (subnets.size() < gateways.size() || subnets.size() < ranges.size())
        return fail(ErrorKind::invalid,
                    "every ip-range or gateway must have a corresponding subnet");
    std::vector<apitypes::IpamPool> pools;
    for (std::size_t i = 0; i < subnets.size(); ++i) {
        apitypes::IpamPool pool{.subnet = subnets[i]};
        if (i < gateways.size()) pool.gateway = gateways[i];
        if (i < ranges.size()) pool.ip_range = ranges[i];
        pools.push_back(std::move(pool));
    }
    if (!pools.empty()) pools.front().aux_addresses = parse_pairs(flags.list("aux-address"));
    return pools;
}

Result<apitypes::NetworkCreateRequest> make_request(const ParsedLine& line) {
    const FlagValues& flags = line.flags;
    apitypes::NetworkCreateRequest request{
        .driver = flags.text("driver"),
        .scope = flags.text("scope"),
        .internal = flags.on("internal"),
        .attachable = flags.on("attachable"),
        .options = parse_pairs(flags.list("opt")),
        .labels = parse_pairs(flags.list("label")),
        .name = line.arguments[0],
    };
    if (flags.given("ipv4")) request.enable_ipv4 = flags.on("ipv4");
    if (flags.given("ipv6")) request.enable_ipv6 = flags.on("ipv6");
    request.ipam = apitypes::Ipam{.driver = flags.text("ipam-driver"),
                                  .options = parse_pairs(flags.list("ipam-opt")),
                                  .config = TRY(make_pools(flags))};
    return request;
}

}  // namespace

Result<int> verb_network_ls(Context& context, const ParsedLine& line) {
    http::Query query;
    if (line.flags.given("filter"))
        query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    const Json networks = TRY(TRY(context.client())->get("/networks", query));
    std::vector<Json> rows;
    for (const Json& network : networks)
        rows.push_back(network_row(network, !line.flags.on("no-trunc")));
    std::ranges::sort(rows, {}, [](const Json& row) { return row["Name"].get<std::string>(); });
    Json headers = {{"ID", "NETWORK ID"},     {"Name", "NAME"},     {"Driver", "DRIVER"},
                    {"Scope", "SCOPE"},       {"IPv4", "IPV4"},     {"IPv6", "IPV6"},
                    {"Internal", "INTERNAL"}, {"Labels", "LABELS"}, {"CreatedAt", "CREATED AT"}};
    headers[labels_member] = Json::object();
    print(TRY(render_list({.format = line.flags.text("format"),
                           .table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
                           .headers = std::move(headers),
                           .quiet = line.flags.on("quiet"),
                           .raw = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\n"
                                  "scope: {{.Scope}}\n"},
                          rows)));
    return 0;
}

Result<int> verb_network_create(Context& context, const ParsedLine& line) {
    const auto request = TRY(make_request(line));
    const Json reply = TRY(TRY(context.client())->post("/networks/create", {}, to_json(request)));
    const std::string warning = reply.value("Warning", "");
    if (!warning.empty()) print_error("WARNING: " + warning);
    print_line(reply.value("Id", ""));
    return 0;
}

Result<int> verb_network_rm(Context& context, const ParsedLine& line) {
    Client& client = *TRY(context.client());
    const bool force = line.flags.on("force");
    return for_each_name(line.arguments, [&](const std::string& name) -> Result<void> {
        const auto removed = client.remove(path_of(name));
        const bool gone = !removed && removed.error().kind() == ErrorKind::not_found;
        if (gone && force) return {};
        if (!removed) return removed.error();
        print_line(name);
        return {};
    });
}

Result<int> verb_network_connect(Context& context, const ParsedLine& line) {
    const FlagValues& flags = line.flags;
    apitypes::EndpointSettings endpoint{
        .driver_opts = parse_pairs(flags.list("driver-opt")),
        .gw_priority = static_cast<int>(flags.integer("gw-priority")),
    };
    if (flags.given("alias")) endpoint.aliases = flags.list("alias");
    if (flags.given("link")) endpoint.links = flags.list("link");
    const apitypes::EndpointIpamConfig addresses{.ipv4_address = flags.text("ip"),
                                                 .ipv6_address = flags.text("ip6"),
                                                 .link_local_ips = flags.list("link-local-ip")};
    if (flags.given("ip") || flags.given("ip6") || flags.given("link-local-ip"))
        endpoint.ipam_config = addresses;
    const apitypes::NetworkConnectRequest request{.container = line.arguments[1],
                                                  .endpoint_config = std::move(endpoint)};
    TRY(TRY(context.client())->post(path_of(line.arguments[0]) + "/connect", {}, to_json(request)));
    return 0;
}

Result<int> verb_network_disconnect(Context& context, const ParsedLine& line) {
    const apitypes::NetworkDisconnectRequest request{.container = line.arguments[1],
                                                     .force = line.flags.on("force")};
    TRY(TRY(context.client())
            ->post(path_of(line.arguments[0]) + "/disconnect", {}, to_json(request)));
    return 0;
}

Result<int> verb_network_prune(Context& context, const ParsedLine& line) {
    const bool sure = line.flags.on("force") ||
                      confirm(
                          "WARNING! This will remove all custom networks not used by at least one "
                          "container.\nAre you sure you want to continue?");
    if (!sure) return 0;
    http::Query query;
    query.add("filters", TRY(encode_filters(line.flags.list("filter"))));
    const Json reply = TRY(TRY(context.client())->post("/networks/prune", query));
    if (!reply.contains("NetworksDeleted") || !reply["NetworksDeleted"].is_array()) return 0;
    print("Deleted Networks:\n");
    for (const Json& name : reply["NetworksDeleted"]) print_line(name.get<std::string>());
    print("\n");
    return 0;
}

}  // namespace corten::cli
