#include "network_files.hpp"

#include "network_attach.hpp"
#include "spec_builder.hpp"

#include <network/etc_files.hpp>
#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

namespace corten::engine {

namespace {

constexpr const char* host_file_path = "/etc/resolv.conf";
constexpr const char* resolv_conf_name = "/resolv.conf";
constexpr const char* resolv_conf_copy = "/resolv.conf.made";  // as we wrote it last

/// The user's list, else the daemon's.
std::vector<std::string> or_default(const apitypes::StringList& user,
                                    const std::vector<std::string>& daemon) {
    const auto& list = apitypes::items(user);
    return list.empty() ? daemon : list;
}

network::ResolvConf resolver_settings(const Context& context, const ContainerSpec& spec) {
    return {.nameservers = or_default(spec.host.dns, context.config.dns),
            .search = or_default(spec.host.dns_search, context.config.dns_search),
            .options = or_default(spec.host.dns_options, context.config.dns_options)};
}

std::string host_resolv_conf() {
    const auto etc =
        sys::read_file(host_file_path).value_or("");  // a host without one has no servers
    const auto path = network::host_resolv_conf_path(etc);
    return path == host_file_path ? etc : sys::read_file(path).value_or("");
}

}  // namespace

network::Upstreams upstreams_of(const Context& context, const ContainerSpec& spec,
                                const std::vector<network::Endpoint>& endpoints) {
    auto chosen = or_default(spec.host.dns, context.config.dns);
    if (!chosen.empty()) return {.servers = std::move(chosen), .from_inside = true};
    const bool leads_out = std::ranges::any_of(
        endpoints, [](const auto& endpoint) { return !endpoint.gateway.empty(); });
    if (!leads_out) return {};
    return {.servers = network::nameservers_in(host_resolv_conf()), .from_inside = false};
}

namespace {

Result<std::string> hosts_text(Context& context, const ContainerSpec& spec,
                               const std::vector<network::Endpoint>& endpoints) {
    const auto& extra = apitypes::items(spec.host.extra_hosts);
    if (spec.host.network_mode == "host")
        return TRY(sys::read_file("/etc/hosts")) +
               TRY(network::extra_host_lines(extra, context.networks->host_gateway()));
    network::HostsFile file;
    file.hostname = spec.config.hostname;
    file.domain = spec.config.domainname;
    for (const auto& endpoint : endpoints) file.addresses.push_back(endpoint.ip);
    file.extra_hosts = extra;
    file.host_gateway = context.networks->host_gateway();
    return network::hosts_file(file);
}

std::string resolver_text(Context& context, const ContainerSpec& spec,
                          const std::vector<network::Endpoint>& endpoints) {
    const auto user = resolver_settings(context, spec);
    const auto host_file = host_resolv_conf();
    if (spec.host.network_mode == "host") return network::resolv_conf_host_network(host_file, user);
    if (std::ranges::any_of(endpoints, has_name_server))
        return network::resolv_conf_internal_server(host_file, user);
    return network::resolv_conf(host_file, user);
}

using Writer = std::function<Result<void>(const std::string& path, const std::string& text)>;

Result<void> write_resolv_conf(Context& context, const ContainerSpec& spec,
                               const std::vector<network::Endpoint>& endpoints,
                               const Writer& write) {
    const std::string files = context.files_of(spec.id);
    const auto text = resolver_text(context, spec, endpoints);
    if (sys::exists(files + resolv_conf_name)) {
        const auto current = TRY(sys::read_file(files + resolv_conf_name));
        const auto made = sys::read_file(files + resolv_conf_copy);
        const bool changed = !made || *made != current;  // by somebody: that is kept
        if (changed || current == text) return {};
    }
    TRY(write(files + resolv_conf_name, text));
    return sys::write_file_atomic(files + resolv_conf_copy, text);
}

Result<void> replace_file(const std::string& path, const std::string& text) {
    return sys::write_file_atomic(path, text);
}

/// The file that the container has a mount of stays the same one.
Result<void> rewrite_file(const std::string& path, const std::string& text) {
    const Fd file = TRY(sys::open(path, O_WRONLY));
    TRY(sys::write_all(file, text));
    if (::ftruncate(file.raw(), static_cast<off_t>(text.size())) < 0)
        return fail_errno("shorten {}", path);
    return {};
}

bool is_among(const network::Endpoint& endpoint, const std::vector<network::Endpoint>& others) {
    return std::ranges::any_of(others, [&](const auto& other) { return other.id == endpoint.id; });
}

}  // namespace

Result<std::string> network_files_of(const Context& context, const ContainerSpec& spec) {
    if (!is_container_mode(spec.host.network_mode)) return context.files_of(spec.id);
    const auto other = TRY(context.containers.find(container_of_mode(spec.host.network_mode)));
    return context.files_of(other->id());
}

Result<void> write_network_files(Context& context, const ContainerSpec& spec,
                                 const std::vector<network::Endpoint>& endpoints) {
    if (is_container_mode(spec.host.network_mode)) return {};  // the other one has them
    const std::string files = context.files_of(spec.id);
    TRY(sys::write_file_atomic(files + "/hostname", spec.config.hostname + "\n"));
    TRY(sys::write_file_atomic(files + "/hosts", TRY(hosts_text(context, spec, endpoints))));
    return write_resolv_conf(context, spec, endpoints, replace_file);
}

Result<void> update_network_files(Context& context, const ContainerSpec& spec,
                                  const std::vector<network::Endpoint>& before,
                                  const std::vector<network::Endpoint>& after) {
    const std::string hosts = context.files_of(spec.id) + "/hosts";
    const auto names = network::own_host_names(spec.config.hostname, spec.config.domainname);
    std::string text = TRY(sys::read_file(hosts));
    for (const auto& endpoint : before)
        if (!is_among(endpoint, after)) text = network::without_host(text, endpoint.ip, names);
    for (const auto& endpoint : after)
        if (!is_among(endpoint, before)) text = network::with_host(text, endpoint.ip, names);
    TRY(rewrite_file(hosts, text));
    return write_resolv_conf(context, spec, after, rewrite_file);
}

}  // namespace corten::engine
