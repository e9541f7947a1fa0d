#include <base/text.hpp>
#include <network/address.hpp>
#include <network/etc_files.hpp>

#include <arpa/inet.h>

namespace corten::network {

namespace {

constexpr std::string_view etc_path = "/etc/resolv.conf";
constexpr std::string_view resolved_path = "/run/systemd/resolve/resolv.conf";
constexpr std::string_view resolved_stub = "127.0.0.53";

/// resolv.conf(5), as far as it matters here. Comments are not kept.
struct Parsed {
    std::vector<std::string> nameservers;
    std::vector<std::string> search;
    std::vector<std::string> options;
    std::vector<std::string> other;  ///< whole lines: domain, sortlist
};

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    std::string word;
    for (const char c : std::string(line) + ' ') {
        if (c != ' ' && c != '\t' && c != '\r') {
            word += c;
        } else if (!word.empty()) {
            words.push_back(std::exchange(word, {}));
        }
    }
    return words;
}

Parsed parse(std::string_view text) {
    Parsed out;
    for (const auto& line : split(text, '\n')) {
        auto words = words_of(line);
        // Comments count at the start of a line and after a server's address.
        if (words.empty() || words[0][0] == '#' || words[0][0] == ';') continue;
        const std::string key = words[0];
        words.erase(words.begin());
        if (key == "nameserver") {
            if (!words.empty()) out.nameservers.push_back(words[0]);
        } else if (key == "search") {
            out.search = words;  // the last one counts
        } else if (key == "options") {
            out.options.insert(out.options.end(), words.begin(), words.end());
        } else {
            out.other.emplace_back(trim(line));
        }
    }
    return out;
}

std::vector<std::string> public_servers() {
    return {"8.8.8.8", "8.8.4.4"};
}

bool is_usable_inside(const std::string& server) {
    const auto address = Ipv4::parse(server);
    // The network has no IPv6, so an IPv6 server could not be asked.
    return address && !address->is_loopback();
}

void apply(Parsed& file, const ResolvConf& user) {
    if (!user.nameservers.empty()) file.nameservers = user.nameservers;
    if (!user.options.empty()) file.options = user.options;
    if (!user.search.empty()) file.search = user.search;
    if (file.search == std::vector<std::string>{"."}) file.search.clear();
}

std::string print(const Parsed& file) {
    std::string text = "# Made by Corten for this container, which may change it.\n";
    for (const auto& server : file.nameservers) text += fmt::format("nameserver {}\n", server);
    if (!file.search.empty()) text += fmt::format("search {}\n", join(file.search, " "));
    if (!file.options.empty()) text += fmt::format("options {}\n", join(file.options, " "));
    for (const auto& line : file.other) text += line + "\n";
    return text;
}

bool is_one_word(std::string_view text) {
    return !text.empty() && std::ranges::none_of(text, [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    });
}

}  // namespace

Result<void> check_resolv_conf(const ResolvConf& user) {
    unsigned char buffer[sizeof(in6_addr)];
    for (const auto& server : user.nameservers)
        if (::inet_pton(AF_INET, server.c_str(), buffer) != 1 &&
            ::inet_pton(AF_INET6, server.c_str(), buffer) != 1)
            return fail(ErrorKind::invalid, "bad nameserver address \"{}\": not an IP address",
                        server);
    for (const auto& domain : user.search)
        if (!is_one_word(domain))
            return fail(ErrorKind::invalid, "\"{}\" is not a valid search domain", domain);
    for (const auto& option : user.options)
        if (!is_one_word(option))
            return fail(ErrorKind::invalid, "\"{}\" is not a valid DNS option", option);
    return {};
}

std::string resolv_conf(std::string_view host_file, const ResolvConf& user) {
    Parsed file = parse(host_file);
    std::erase_if(file.nameservers, [](const auto& server) { return !is_usable_inside(server); });
    if (file.nameservers.empty()) file.nameservers = public_servers();
    apply(file, user);
    return print(file);
}

std::string resolv_conf_host_network(std::string_view host_file, const ResolvConf& user) {
    if (user.nameservers.empty() && user.search.empty() && user.options.empty())
        return std::string(host_file);
    Parsed file = parse(host_file);
    apply(file, user);
    return print(file);
}

std::string resolv_conf_internal_server(std::string_view host_file, const ResolvConf& user) {
    Parsed file = parse(host_file);
    apply(file, user);
    file.nameservers = {name_server_address};
    // A single word is asked as it is: container names have no dot.
    const bool has_ndots = std::ranges::any_of(
        file.options, [](const auto& option) { return option.starts_with("ndots:"); });
    if (!has_ndots) file.options.push_back("ndots:0");
    return print(file);
}

std::vector<std::string> nameservers_in(std::string_view resolv_conf) {
    auto servers = parse(resolv_conf).nameservers;
    return servers.empty() ? public_servers() : servers;
}

std::string host_resolv_conf_path(std::string_view etc_resolv_conf) {
    const auto servers = parse(etc_resolv_conf).nameservers;
    const bool stub_only = servers.size() == 1 && servers.front() == resolved_stub;
    return std::string(stub_only ? resolved_path : etc_path);
}

}  // namespace corten::network
