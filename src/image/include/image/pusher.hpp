#pragma once
// Pushing images: layers are sent as they came when their blobs were kept, else re-created from the
// store and compressed with gzip while they are sent, and not sent at all when the registry has
// them already or can mount them from another of its repositories. Memory per layer in work: about
// 5 MiB.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/progress.hpp>
#include <image/puller.hpp>

#include <string>

namespace corten::image {

struct PushRequest {
    std::string name;  ///< without a tag: all tags of the repository
    /// Only the image for this platform. Otherwise a name that stands for an index is pushed whole,
    /// or, when not all images of it are here, the one that is meant by the name alone.
    std::optional<oci::Platform> platform{};
    Credentials credentials{};
};

/// Pushes to the registry in the name, with docker's progress lines. not_found, before the first
/// line, when there is no such image or not for the platform; unauthorized or forbidden when the
/// registry refuses. A manifest goes as it came when the registry has its layers' blobs; where they
/// had to be packed anew it is a new one, and so is the index above it. `options` gives the
/// registry configuration and time-outs.
Result<void> push(storage::Store& store, const PushRequest& request, const PullOptions& options,
                  const ProgressSink& progress, FdView cancel);

}  // namespace corten::image
