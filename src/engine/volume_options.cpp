#include "volume_options.hpp"

#include <base/text.hpp>
#include <base/units.hpp>
#include <sys/mount.h>
#include <sys/mount_words.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace corten::engine {

namespace {

Result<void> read_words(VolumeDevice& device, const std::string& text) {
    sys::MountWords words;
    for (const auto& word : split(text, ','))
        if (!word.empty()) words.take(word);
    if ((words.recursive_set | words.recursive_clear) != 0)
        return fail(ErrorKind::invalid,
                    "invalid option o: \"{}\": of the words for a whole tree only rbind is for a "
                    "volume",
                    text);
    device.flags = words.flags();
    device.propagation = words.propagation;
    if (words.recursive_propagation) device.propagation |= MS_REC;
    device.data = words.data_text();
    return {};
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
    TRY(read_words(device, wanted));
    if (parsed.size != 0)
        return fail(ErrorKind::invalid,
                    "the option size is for a directory; a mounted {} takes its size in the option "
                    "o, if at all",
                    device.type);
    parsed.device = std::move(device);
    return parsed;
}

}  // namespace corten::engine
