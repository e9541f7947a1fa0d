#pragma once
// Images without a registry: made from the packages of the distribution this machine runs.
#include <base/fd.hpp>
#include <image/builder.hpp>
#include <image/progress.hpp>
#include <storage/store.hpp>

#include <string_view>

namespace corten::image {

struct Bootstrapped {
    std::string image_id;
    std::vector<std::string> references;  ///< familiar, the plainest last
};

/// "debian", "ubuntu" or another that is like them, as the host is: debootstrap's minbase of its
/// release, with the host's package sources, as debian:VERSION, debian:CODENAME and debian:latest;
/// `unsupported` for another than the host's. "busybox": the host's static busybox (or the package
/// busybox-static) with links for its applets, as busybox:VERSION and busybox:latest.
/// Runs the distribution's programs, in a mount and process namespace of their own, and takes
/// minutes; what it writes lies below the store's root until it is done. `unavailable` names a
/// package that is missing; `conflict` while another bootstrap runs.
Result<Bootstrapped> bootstrap(storage::Store& store, std::string_view name,
                               const ProgressSink& progress, FdView cancel,
                               const BuildOptions& options = {});

}  // namespace corten::image
