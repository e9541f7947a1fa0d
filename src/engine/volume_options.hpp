#pragma once
// Options of a volume of the local driver (`docker volume create -o`): what is mounted as the
// volume instead of a directory, and how large it may grow. Source: docker's "local" driver.
#include <base/result.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace corten::engine {

/// What mount(8) would be told.
struct VolumeDevice {
    std::string type;  ///< "tmpfs", "ext4", "nfs", or "none" with the flag bind
    std::string device;
    unsigned long flags = 0;        ///< MS_*
    unsigned long propagation = 0;  ///< MS_SHARED, …, or 0
    std::string data;               ///< options for the file system
};

struct VolumeOptions {
    std::optional<VolumeDevice> device;  ///< none: an ordinary directory
    std::uint64_t size = 0;              ///< bytes; 0 is no limit
};

/// From the options `type`, `device`, `o` and `size`; any other, or a device without its type, is
/// the error `invalid`.
Result<VolumeOptions> parse_volume_options(const std::map<std::string, std::string>& options);

}  // namespace corten::engine
