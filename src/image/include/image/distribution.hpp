#pragma once
// What a registry has under a name, without getting it: GET /distribution/{name}/json and
// /corten/manifest.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/puller.hpp>
#include <oci/image_spec.hpp>

#include <string_view>
#include <vector>

namespace corten::image {

struct DistributedImage {
    oci::Descriptor descriptor;  ///< of the manifest, or of the index
    std::vector<oci::Platform> platforms;
};

struct RegistryManifest {
    std::string reference;  ///< as it was asked for, in full
    /// Of a manifest of a container image with the platform that its configuration names.
    oci::Descriptor descriptor;
    std::string bytes;  ///< a manifest's or an index's, to the byte
};

/// Errors: invalid for a bad reference; not_found and unauthorized as the registry says; corrupt
/// when what it sends is no manifest.
Result<DistributedImage> ask_registry(std::string_view reference, const Credentials& credentials,
                                      const PullOptions& options, FdView cancel);
Result<RegistryManifest> fetch_manifest(std::string_view reference, const Credentials& credentials,
                                        const PullOptions& options, FdView cancel);

}  // namespace corten::image
