#pragma once
// `docker save` and `docker load`: archives of images in docker's layout of engine 25 and newer,
// which is an OCI image layout with docker's manifest.json beside it.
#include <base/stream.hpp>
#include <image/progress.hpp>
#include <oci/image_spec.hpp>
#include <storage/store.hpp>

#include <string>
#include <vector>

namespace corten::image {

/// Writes the images that `names` mean (references or ids) as one tar with layers uncompressed. A
/// name without a tag means all tags of the repository. Of a name that stands for several platforms
/// all that are here are saved, in an index, or those for `platforms` when there are any. Manifests
/// and index are new: they name the uncompressed layers. not_found before a byte is written.
Result<void> save(storage::Store& store, const std::vector<std::string>& names,
                  const std::vector<oci::Platform>& platforms, const ByteSink& sink);

struct LoadOptions {
    storage::UnpackLimits layer_limits = storage::usual_layer_limits;
    std::vector<oci::Platform> platforms{};  ///< only these; empty: all there are
};

/// Takes docker's archives of all ages and OCI image layouts, also gzip, zstd, xz or bzip2. The
/// archive is spooled below the store's root. Progress ends in a stream line per image, "Loaded
/// image: name:tag\n". Gives the ids.
Result<std::vector<std::string>> load(storage::Store& store, const ByteSource& archive,
                                      const ProgressSink& progress,
                                      const LoadOptions& options = {});

}  // namespace corten::image
