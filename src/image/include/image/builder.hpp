#pragma once
// Images that are made here, not pulled: import, bootstrap, load.
#include <base/stream.hpp>
#include <oci/image_spec.hpp>
#include <storage/store.hpp>

#include <string>
#include <vector>

namespace corten::image {

struct BuildOptions {
    storage::UnpackLimits layer_limits = storage::usual_layer_limits;
};

/// An image with one more layer than `image` has, out of a tar stream, which may be gzip, zstd, xz
/// or bzip2; without one over layers below if it is empty, as the last entry of the history then
/// says. `image.parent` is recorded as its parent; `references` are canonical. Recorded in one
/// transaction; gives the id.
Result<std::string> store_image(storage::Store& store, storage::Source& archive, oci::Image image,
                                const std::vector<std::string>& references,
                                const BuildOptions& options = {});

/// Platform of the host and the creation time, now.
oci::Image new_image();

struct ImportRequest {
    std::string reference;  ///< canonical, or empty for an image without a name
    std::string message;    ///< comment; "Imported from -" by default
    std::vector<std::string> changes;
    std::optional<oci::Platform> platform;
};
/// `docker import`: gives the id.
Result<std::string> import_image(storage::Store& store, const ByteSource& archive,
                                 const ImportRequest& request, const BuildOptions& options = {});

}  // namespace corten::image
