#include <base/text.hpp>
#include <sys/mount.h>
#include <sys/mount_words.hpp>

#include <algorithm>
#include <string_view>

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

namespace corten::sys {

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

struct Flag {
    std::uint64_t attribute;  ///< of mount_setattr(2)
    unsigned long flag;       ///< of mount(2)
};
constexpr Flag attribute_flags[] = {
    {MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
    {MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
    {MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW},
    {MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
};

struct FlagWord {
    std::string_view word;
    unsigned long flag;
};
constexpr FlagWord propagations[] = {{"private", MS_PRIVATE},
                                     {"shared", MS_SHARED},
                                     {"slave", MS_SLAVE},
                                     {"unbindable", MS_UNBINDABLE}};
/// Of the file system as a whole; those with 0 have no flag of their own.
constexpr FlagWord super_flag_words[] = {{"sync", MS_SYNCHRONOUS},
                                         {"async", 0},
                                         {"dirsync", MS_DIRSYNC},
                                         {"lazytime", MS_LAZYTIME},
                                         {"nolazytime", 0},
                                         {"mand", MS_MANDLOCK},
                                         {"nomand", 0},
                                         {"iversion", MS_I_VERSION},
                                         {"noiversion", 0},
                                         {"silent", MS_SILENT},
                                         {"loud", 0}};

constexpr std::string_view ignored[] = {"defaults", "remount", "_netdev", "nofail"};

void apply(const AttributeWord& word, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~word.clear) | word.set;
    clear = (clear & ~word.set) | word.clear;
}

/// "rro" for "ro".
bool is_recursive_form(std::string_view option, std::string_view word) {
    return option.starts_with('r') && option.substr(1) == word;
}

bool take_attribute(std::string_view option, MountWords& out) {
    for (const auto& word : attributes) {
        if (option == word.word) {
            apply(word, out.set, out.clear);
            return true;
        }
        if (is_recursive_form(option, word.word)) {
            apply(word, out.recursive_set, out.recursive_clear);
            return true;
        }
    }
    return false;
}

bool take_propagation(std::string_view option, MountWords& out) {
    for (const auto& [word, flag] : propagations) {
        const bool recursive = is_recursive_form(option, word);
        if (option != word && !recursive) continue;
        out.propagation = flag;
        out.recursive_propagation = recursive;
        return true;
    }
    return false;
}

bool take_bind(std::string_view option, MountWords& out) {
    if (option != "bind" && option != "rbind") return false;
    out.bind = true;
    out.recursive_bind |= option == "rbind";
    return true;
}

const FlagWord* super_flag(std::string_view option) {
    const auto* found = std::ranges::find(super_flag_words, option, &FlagWord::word);
    return found == std::end(super_flag_words) ? nullptr : found;
}

}  // namespace

void MountWords::take(const std::string& word) {
    if (std::ranges::find(ignored, word) != std::end(ignored)) return;
    // "rro" is an attribute, "ro" too, "rprivate" a propagation: no word is in two tables.
    if (take_bind(word, *this) || take_attribute(word, *this) || take_propagation(word, *this))
        return;
    if (super_flag(word)) {
        if (word != "silent" && word != "loud") super_flags.push_back(word);
        return;
    }
    const auto [key, value] = split_once(word, '=');
    data.emplace_back(key, value);
}

unsigned long MountWords::flags() const {
    unsigned long flags = 0;
    if (bind) flags |= MS_BIND;
    if (recursive_bind) flags |= MS_REC;
    flags |= flags_of_attributes(set);
    for (const auto& word : super_flags) flags |= super_flag(word)->flag;
    return flags;
}

unsigned long flags_of_attributes(std::uint64_t wanted) {
    unsigned long flags = 0;
    for (const auto& [attribute, flag] : attribute_flags)
        if ((wanted & attribute) != 0) flags |= flag;
    return flags;
}

std::string MountWords::data_text() const {
    std::string text;
    for (const auto& [key, value] : data)
        text += (text.empty() ? "" : ",") + key + (value.empty() ? "" : "=" + value);
    return text;
}

std::vector<std::string> known_mount_words() {
    std::vector<std::string> all{"bind", "rbind", "defaults", "remount"};
    const auto add_both = [&](std::string_view word) {
        all.emplace_back(word);
        all.push_back("r" + std::string(word));
    };
    for (const auto& each : attributes) add_both(each.word);
    for (const auto& each : propagations) add_both(each.word);
    for (const auto& each : super_flag_words) all.emplace_back(each.word);
    return all;
}

}  // namespace corten::sys
