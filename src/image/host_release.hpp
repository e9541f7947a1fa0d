#pragma once
// Which release of which distribution a machine runs, and which of its package sources make an
// image of that release. Parsing only.
#include "apt_sources.hpp"

#include <base/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::image {

/// A distribution whose packages debootstrap unpacks.
struct HostRelease {
    std::string distribution;  ///< "debian", "ubuntu", "raspbian": what the image is called
    std::string codename;      ///< "bookworm"
    std::string version;       ///< "12"; "" for one that has none
    std::string mirror;        ///< where packages come from when the host does not say; "" unknown
    std::string archive_key;   ///< of the distribution's own archive; "" unknown
    std::string script;        ///< debootstrap's script for releases that it does not know by name
};

/// Of an os-release(5). One that stands on Ubuntu's archive and says so (UBUNTU_CODENAME) is that
/// Ubuntu; others that are like Debian or Ubuntu (ID_LIKE) are themselves. `unsupported` for what
/// has no packages of that kind.
Result<HostRelease> parse_release(std::string_view os_release);

/// Those of `sources` that are for the release and signed by the distribution's own archive: others
/// (a vendor's repository) would need keys and certificates that the image does not have. Its known
/// mirror, if there is none; `unsupported` where none is known either.
Result<std::vector<AptSource>> release_sources(const HostRelease& release,
                                               std::vector<AptSource> sources);

/// The source that has the release itself, not its updates.
const AptSource& main_source(const HostRelease& release, const std::vector<AptSource>& sources);

}  // namespace corten::image
