#pragma once
// What a registry has under a name, without getting it: GET /distribution/{name}/json.
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

/// Errors: invalid for a bad reference; not_found and unauthorized as the registry says; corrupt
/// when what it sends is no manifest.
Result<DistributedImage> ask_registry(std::string_view reference, const Credentials& credentials,
                                      const PullOptions& options, FdView cancel);

}  // namespace corten::image
