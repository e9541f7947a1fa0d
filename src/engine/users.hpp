#pragma once
// Who a process in a container runs as: "user[:group]" looked up in the container's own passwd and
// group files, which are untrusted: bounded, regular files only, never through the host's NSS.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace corten::engine {

struct ResolvedUser {
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::vector<std::uint32_t> additional_gids;  ///< includes gid
    std::string home = "/";
};

/// `root` is the container's root directory. `group_add` are further groups, names or numbers.
/// Errors: invalid, "unable to find user nosuch: no matching entries in passwd file".
Result<ResolvedUser> resolve_user(FdView root, std::string_view user,
                                  const std::vector<std::string>& group_add);

/// The same from the files' text.
Result<ResolvedUser> resolve_user_in(std::string_view passwd, std::string_view group,
                                     std::string_view user,
                                     const std::vector<std::string>& group_add);

}  // namespace corten::engine
