#include "volume_options.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace corten::engine {

namespace {

struct Word {
    std::string_view name;
    unsigned long set;
    unsigned long clear;
};

/// The words of mount(8) that are flags; what is none of them is for the file system.
constexpr std::array words{
    Word{"defaults", 0, 0},
    Word{"ro", MS_RDONLY, 0},
    Word{"rw", 0, MS_RDONLY},
    Word{"bind", MS_BIND, 0},
    Word{"rbind", MS_BIND | MS_REC, 0},
    Word{"nosuid", MS_NOSUID, 0},
    Word{"suid", 0, MS_NOSUID},
    Word{"nodev", MS_NODEV, 0},
    Word{"dev", 0, MS_NODEV},
    Word{"noexec", MS_NOEXEC, 0},
    Word{"exec", 0, MS_NOEXEC},
    Word{"sync", MS_SYNCHRONOUS, 0},
    Word{"async", 0, MS_SYNCHRONOUS},
    Word{"dirsync", MS_DIRSYNC, 0},
    Word{"noatime", MS_NOATIME, 0},
    Word{"atime", 0, MS_NOATIME},
    Word{"nodiratime", MS_NODIRATIME, 0},
    Word{"diratime", 0, MS_NODIRATIME},
    Word{"relatime", MS_RELATIME, 0},
    Word{"norelatime", 0, MS_RELATIME},
    Word{"strictatime", MS_STRICTATIME, 0},
};

constexpr std::array propagations{
    Word{"private", MS_PRIVATE, 0},       Word{"rprivate", MS_PRIVATE | MS_REC, 0},
    Word{"shared", MS_SHARED, 0},         Word{"rshared", MS_SHARED | MS_REC, 0},
    Word{"slave", MS_SLAVE, 0},           Word{"rslave", MS_SLAVE | MS_REC, 0},
    Word{"unbindable", MS_UNBINDABLE, 0},
};

void read_word(VolumeDevice& device, const std::string& text) {
    if (const auto* word = std::ranges::find(words, text, &Word::name); word != words.end()) {
        device.flags = (device.flags | word->set) & ~word->clear;
    } else if (const auto* how = std::ranges::find(propagations, text, &Word::name);
               how != propagations.end()) {
        device.propagation = how->set;
    } else if (!text.empty()) {
        device.data += (device.data.empty() ? "" : ",") + text;
    }
}

std::string value_of(const std::map<std::string, std::string>& options, const std::string& key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

}  // namespace

Result<VolumeOptions> parse_volume_options(const std::map<std::string, std::string>& options) {
    constexpr std::array known = {"type", "device", "o", "size"};
    for (const auto& [key, value] : options)
        if (std::ranges::find(known, std::string_view(key)) == known.end())
            return fail(ErrorKind::invalid,
                        "invalid option: \"{}\": wanted type, device, o or size", key);
    VolumeOptions parsed;
    if (const std::string size = value_of(options, "size"); !size.empty()) {
        const auto bytes = TRY(parse_size(size, "size"));
        if (bytes <= 0) return fail(ErrorKind::invalid, "invalid size: \"{}\"", size);
        parsed.size = static_cast<std::uint64_t>(bytes);
    }
    VolumeDevice device{
        .type = value_of(options, "type"), .device = value_of(options, "device"), .data = {}};
    const std::string wanted = value_of(options, "o");
    if (device.type.empty() && device.device.empty() && wanted.empty()) return parsed;
    if (device.device.empty())
        return fail(ErrorKind::invalid, "missing required option: \"device\"");
    if (device.type.empty()) return fail(ErrorKind::invalid, "missing required option: \"type\"");
    for (const auto& word : split(wanted, ',')) read_word(device, word);
    if (parsed.size != 0)
        return fail(ErrorKind::invalid,
                    "the option size is for a directory; a mounted {} takes its size in the option "
                    "o, if at all",
                    device.type);
    parsed.device = std::move(device);
    return parsed;
}

}  // namespace corten::engine
