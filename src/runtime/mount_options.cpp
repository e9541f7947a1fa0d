#include "mount_options.hpp"

#include <algorithm>

namespace corten::runtime {
namespace {

bool take_special(std::string_view option, MountOptions& out) {
    if (option == "tmpcopyup")
        out.copy_up = true;
    else if (option == "copy-symlink")
        out.copy_symlink = true;
    else if (option == "src-nofollow")
        out.src_no_follow = true;
    else if (option == "dest-nofollow")
        out.dest_no_follow = true;
    else if (option == "idmap")
        out.idmap = true;
    else if (option == "ridmap")
        out.idmap = out.recursive_idmap = true;
    else
        return false;
    return true;
}

}  // namespace

Result<MountOptions> parse_mount_options(const oci::Mount& mount, std::string_view field) {
    MountOptions out;
    out.bind = mount.type == "bind" || mount.type == "rbind";
    out.recursive_bind = mount.type == "rbind";
    for (const auto& option : mount.options)
        if (!take_special(option, out)) out.take(option);
    if (out.idmap && !out.bind)
        return fail(ErrorKind::invalid, "{}.options: idmap is for bind mounts", field);
    if (!mount.uid_mappings.empty()) out.idmap = true;
    if (out.copy_up && mount.type != "tmpfs")
        return fail(ErrorKind::invalid, "{}.options: tmpcopyup is for tmpfs", field);
    // What a bind mount has is its source's; the kernel would take such words for nothing.
    if (out.bind) {
        out.data.clear();
        out.super_flags.clear();
    }
    return out;
}

std::vector<std::string> known_mount_options() {
    std::vector<std::string> all = sys::known_mount_words();
    for (const auto* own :
         {"tmpcopyup", "idmap", "ridmap", "copy-symlink", "src-nofollow", "dest-nofollow"})
        all.emplace_back(own);
    std::ranges::sort(all);
    return all;
}

}  // namespace corten::runtime
