#include "users.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>

#include <algorithm>
#include <limits>
#include <optional>

namespace corten::engine {

namespace {

constexpr std::size_t file_limit = 10 << 20;
constexpr std::size_t most_groups = 65536;  // NGROUPS_MAX

struct PasswdEntry {
    std::string name;
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::string home;
};

struct GroupEntry {
    std::string name;
    std::uint32_t gid = 0;
    std::string members;
};

/// A number of 32 bits; anything else is no id (CVE-2024-40635: never wraps).
std::optional<std::uint32_t> parse_id(std::string_view text) {
    const auto number = parse_integer(text, "id");
    // The last value is the kernel's "no id".
    if (!number || *number < 0 || *number >= std::numeric_limits<std::uint32_t>::max()) return {};
    return static_cast<std::uint32_t>(*number);
}

bool is_number(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

template <typename Entry>
void for_each_line(std::string_view text, Entry&& visit) {
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        if (!line.empty() && line[0] != '#') visit(split(line, ':'));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

std::optional<PasswdEntry> find_passwd(std::string_view passwd, std::string_view user) {
    std::optional<PasswdEntry> by_name;
    std::optional<PasswdEntry> by_id;
    for_each_line(passwd, [&](const std::vector<std::string>& f) {
        if (f.size() < 6) return;
        const auto uid = parse_id(f[2]);
        const auto gid = parse_id(f[3]);
        if (!uid || !gid) return;
        PasswdEntry entry{f[0], *uid, *gid, f[5]};
        if (!by_name && f[0] == user) by_name = entry;
        if (!by_id && f[2] == user) by_id = entry;
    });
    // A number is an id even when an account is named like it (CVE-2016-3697).
    return is_number(user) ? by_id : by_name;
}

std::optional<GroupEntry> find_group(std::string_view groups, std::string_view name) {
    std::optional<GroupEntry> found;
    for_each_line(groups, [&](const std::vector<std::string>& f) {
        if (found || f.size() < 3) return;
        const auto gid = parse_id(f[2]);
        if (gid && (is_number(name) ? f[2] == name : f[0] == name))
            found = GroupEntry{f[0], *gid, f.size() > 3 ? f[3] : ""};
    });
    return found;
}

std::vector<std::uint32_t> groups_of(std::string_view groups, std::string_view user) {
    std::vector<std::uint32_t> gids;
    for_each_line(groups, [&](const std::vector<std::string>& f) {
        if (f.size() < 4 || gids.size() >= most_groups) return;
        const auto members = split(f[3], ',');
        const auto gid = parse_id(f[2]);
        if (gid && std::ranges::find(members, user) != members.end()) gids.push_back(*gid);
    });
    return gids;
}

void add_once(std::vector<std::uint32_t>& list, std::uint32_t id) {
    if (std::ranges::find(list, id) == list.end()) list.push_back(id);
}

Result<std::uint32_t> resolve_group(std::string_view groups, std::string_view name) {
    if (const auto found = find_group(groups, name)) return found->gid;
    if (is_number(name))
        if (const auto gid = parse_id(name)) return *gid;
    return fail(ErrorKind::invalid, "unable to find group {}: no matching entries in group file",
                name);
}

/// A file of the container; missing and odd ones read as empty. O_NONBLOCK: a FIFO must not hang
/// us.
Result<std::string> read_account_file(FdView root, const std::string& path) {
    const auto fd = sys::open_in_root(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!fd) {
        if (fd.error().kind() == ErrorKind::not_found) return std::string();
        return fd.error();
    }
    struct ::stat status{};
    if (::fstat(fd->raw(), &status) < 0 || !S_ISREG(status.st_mode)) return std::string();
    return sys::read_all(*fd, file_limit).context(path);
}

}  // namespace

Result<ResolvedUser> resolve_user_in(std::string_view passwd, std::string_view group,
                                     std::string_view user,
                                     const std::vector<std::string>& group_add) {
    const auto [user_name, group_name] = split_once(user, ':');
    ResolvedUser out;
    std::string account;
    const std::string_view wanted = user_name.empty() ? "0" : user_name;
    if (const auto entry = find_passwd(passwd, wanted)) {
        out.uid = entry->uid;
        out.gid = entry->gid;
        if (!entry->home.empty()) out.home = entry->home;
        account = entry->name;
    } else if (const auto uid = is_number(wanted) ? parse_id(wanted) : std::nullopt) {
        out.uid = *uid;
    } else {
        return fail(ErrorKind::invalid,
                    "unable to find user {}: no matching entries in passwd file", user_name);
    }
    if (!group_name.empty()) {
        out.gid = TRY(resolve_group(group, group_name));
        add_once(out.additional_gids, out.gid);
    } else {
        add_once(out.additional_gids, out.gid);
        if (!account.empty())
            for (const auto gid : groups_of(group, account)) add_once(out.additional_gids, gid);
    }
    for (const auto& name : group_add)
        add_once(out.additional_gids, TRY(resolve_group(group, name)));
    return out;
}

Result<ResolvedUser> resolve_user(FdView root, std::string_view user,
                                  const std::vector<std::string>& group_add) {
    const std::string passwd = TRY(read_account_file(root, "/etc/passwd"));
    const std::string group = TRY(read_account_file(root, "/etc/group"));
    return resolve_user_in(passwd, group, user, group_add);
}

}  // namespace corten::engine
