#include "mount_options.hpp"

#include <base/text.hpp>
#include <sys/mount.h>

#include <algorithm>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

namespace corten::runtime {
namespace {

struct AttributeWord {
    std::string_view word;
    std::uint64_t set;
    std::uint64_t clear;
};
// Each of these has an "r" form that applies to the whole tree (mount_setattr(2), AT_RECURSIVE).
constexpr AttributeWord attributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    // The access time modes are one field of the attributes: setting one clears the field.
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", 0, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", 0, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", 0, MOUNT_ATTR__ATIME},
};

struct PropagationWord {
    std::string_view word;
    std::uint64_t value;
};
constexpr PropagationWord propagations[] = {{"private", MS_PRIVATE},
                                            {"shared", MS_SHARED},
                                            {"slave", MS_SLAVE},
                                            {"unbindable", MS_UNBINDABLE}};

constexpr std::string_view super_flags[] = {"sync",       "async",  "dirsync", "lazytime",
                                            "nolazytime", "mand",   "nomand",  "iversion",
                                            "noiversion", "silent", "loud"};
constexpr std::string_view ignored[] = {"defaults", "remount", "_netdev", "nofail"};

void apply(const AttributeWord& word, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~word.clear) | word.set;
    clear = (clear & ~word.set) | word.clear;
}

bool take_attribute(std::string_view option, MountOptions& out) {
    for (const auto& word : attributes) {
        if (option == word.word) {
            apply(word, out.set, out.clear);
            return true;
        }
        if (option.starts_with('r') && option.substr(1) == word.word) {
            apply(word, out.recursive_set, out.recursive_clear);
            return true;
        }
    }
    return false;
}

bool take_propagation(std::string_view option, MountOptions& out) {
    for (const auto& word : propagations) {
        const bool recursive = option.starts_with('r') && option.substr(1) == word.word;
        if (option != word.word && !recursive) continue;
        out.propagation = word.value;
        out.recursive_propagation = recursive;
        return true;
    }
    return false;
}

bool take_special(std::string_view option, MountOptions& out) {
    if (option == "bind")
        out.bind = true;
    else if (option == "rbind")
        out.bind = out.recursive_bind = true;
    else if (option == "tmpcopyup")
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

void take_data(const std::string& option, MountOptions& out) {
    if (std::ranges::find(super_flags, option) != std::end(super_flags)) {
        if (option != "silent" && option != "loud") out.super_flags.push_back(option);
        return;
    }
    const auto [key, value] = split_once(option, '=');
    out.data.emplace_back(key, value);
}

}  // namespace

Result<MountOptions> parse_mount_options(const oci::Mount& mount, std::string_view field) {
    MountOptions out;
    out.bind = mount.type == "bind" || mount.type == "rbind";
    out.recursive_bind = mount.type == "rbind";
    for (const auto& option : mount.options) {
        if (std::ranges::find(ignored, option) != std::end(ignored)) continue;
        // "rro" is an attribute, "ro" too, "rprivate" a propagation: no word is in two tables.
        if (take_special(option, out) || take_attribute(option, out) ||
            take_propagation(option, out))
            continue;
        take_data(option, out);
    }
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
    std::vector<std::string> all{"bind",          "rbind",    "tmpcopyup",    "idmap",
                                 "ridmap",        "defaults", "copy-symlink", "src-nofollow",
                                 "dest-nofollow", "remount"};
    for (const auto& word : attributes) {
        all.emplace_back(word.word);
        all.push_back("r" + std::string(word.word));
    }
    for (const auto& word : propagations) {
        all.emplace_back(word.word);
        all.push_back("r" + std::string(word.word));
    }
    for (const auto word : super_flags) all.emplace_back(word);
    std::ranges::sort(all);
    return all;
}

}  // namespace corten::runtime
