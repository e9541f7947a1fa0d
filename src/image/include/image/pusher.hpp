#pragma once
// Pushing images: layers are re-created from the store, compressed with gzip while they are sent,
// and not sent at all when the registry has them already or can mount them from another of its
// repositories. Memory per layer in work: about 5 MiB.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/progress.hpp>
#include <image/puller.hpp>

#include <string>

namespace corten::image {

/// Pushes `name` (a name without a tag: all its tags) to the registry in it, with docker's progress
/// lines. not_found, before the first line, when there is no such image; unauthorized or forbidden
/// when the registry refuses. `options` gives the registry configuration and time-outs.
Result<void> push(storage::Store& store, const std::string& name, const Credentials& credentials,
                  const PullOptions& options, const ProgressSink& progress, FdView cancel);

}  // namespace corten::image
