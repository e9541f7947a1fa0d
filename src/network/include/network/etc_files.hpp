#pragma once
// The content of /etc/hosts and /etc/resolv.conf in a container, byte for byte what a docker user
// expects to find there. Pure: text in, text out.
#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::network {

struct HostsFile {
    std::string hostname;                ///< "3f4e8c0a1b2c" or what -h gave
    std::string domain;                  ///< of --domainname; may be empty
    std::vector<std::string> addresses;  ///< the container's own, one line each
    /// "name:address" or "name=address", as --add-host has it.
    std::vector<std::string> extra_hosts;
    std::string host_gateway;  ///< what the word host-gateway stands for
    bool ipv6 = true;          ///< ::1 exists on the container's loopback
};
/// invalid when an extra host is malformed, or is host-gateway without one.
Result<std::string> hosts_file(const HostsFile& input);
/// "name.domain name", as the container's own lines have it.
std::string own_host_names(std::string_view hostname, std::string_view domain);
/// A hosts file with one more own line, or without one.
std::string with_host(std::string text, std::string_view address, std::string_view names);
std::string without_host(std::string_view text, std::string_view address, std::string_view names);
/// The lines that extra hosts add, for a copy of the host's own file (--network host).
Result<std::string> extra_host_lines(const std::vector<std::string>& extra_hosts,
                                     std::string_view host_gateway);

/// Where a container on a user-defined network finds its name server.
inline constexpr const char* name_server_address = "127.0.0.11";

struct ResolvConf {
    std::vector<std::string> nameservers;  ///< --dns; replace the host's
    std::vector<std::string> search;       ///< --dns-search; "." alone means none
    std::vector<std::string> options;      ///< --dns-option
};
/// invalid when a server is not an address, or a text could break out of its line.
Result<void> check_resolv_conf(const ResolvConf& user);
/// For the default bridge: the host's file without its loopback nameservers (they mean another
/// machine inside), Google's public ones when none is left, with what the user gave in their place.
std::string resolv_conf(std::string_view host_file, const ResolvConf& user);
/// For --network host: the host's file, changed only where the user asked for it.
std::string resolv_conf_host_network(std::string_view host_file, const ResolvConf& user);
/// For networks with our own name server: it is 127.0.0.11, the rest as above.
std::string resolv_conf_internal_server(std::string_view host_file, const ResolvConf& user);
/// Which of the host's resolver files to read: /etc/resolv.conf, or systemd-resolved's list of the
/// real servers when that names only its stub (127.0.0.53).
std::string host_resolv_conf_path(std::string_view etc_resolv_conf);

/// The servers that a host's file names, in order; Google's public ones when it names none.
std::vector<std::string> nameservers_in(std::string_view resolv_conf);

/// Fit for a hosts line: one word that begins no comment.
bool valid_host_name(std::string_view name);

}  // namespace corten::network
