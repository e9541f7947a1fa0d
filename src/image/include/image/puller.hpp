#pragma once
// Pulling images. For each layer a thread downloads and hashes the blob, a second one inflates it,
// and the layer store's two hash the tar and write the files, all at once; layers are unpacked in
// any order and given their places from the lowest up. Memory is bounded, whatever the sizes are
// (docs/registries.md has the sums): per layer in work 2 MiB between download and inflating, 2 MiB
// between inflating and writing, buffers of 256 KiB at each stage and a MiB of directories' times;
// of all layers together what zstd looks back on, and chunks that come over several connections
// (blob_chunks.hpp).
//
// Everything done stays until the image is recorded in one transaction, protected by a lease; a
// pull that fails keeps its finished layers for an hour, for the next try. What has come of a
// layer of a MiB or more is kept beside (storage::PartialBlob) until the layer has its place: the
// next pull, also after a crash, asks for the rest only.
#include <base/fd.hpp>
#include <image/credentials.hpp>
#include <image/endpoints.hpp>
#include <image/progress.hpp>
#include <image/reference.hpp>
#include <oci/image_spec.hpp>
#include <storage/store.hpp>

#include <chrono>
#include <memory>

namespace corten::image {

struct PullOptions {
    RegistryConfig registry;
    std::size_t downloads = 3;  ///< layers at a time, of all pulls together
    storage::UnpackLimits layer_limits = storage::usual_layer_limits;
    bool keep_blobs = false;  ///< beside the layers: see storage::PackedLayers
    std::chrono::milliseconds connect_timeout{15'000};
    std::chrono::milliseconds stall_timeout{30'000};
    int attempts = 5;
    std::chrono::milliseconds first_pause{500};
};

struct PullRequest {
    Reference reference;  ///< with a tag or a digest
    /// Nullopt: the host's.
    std::optional<oci::Platform> platform;
    Credentials credentials;
};

struct PullResult {
    std::string image_id;
    std::string digest;    ///< of the manifest or index the reference named
    bool updated = false;  ///< false: the reference named this image before
};

/// Thread-safe. Pulls of the same reference that come while one runs share it. There is one per
/// store: made at start, it also removes what a killed daemon left of loads and bootstraps.
class Puller {
public:
    Puller(storage::Store& store, PullOptions options);
    /// Cancels what runs and waits for it.
    ~Puller();
    Puller(const Puller&) = delete;
    Puller& operator=(const Puller&) = delete;

    /// Blocks until the image is there. `progress` is called in this thread, first when the
    /// manifest was found: an error before that is a plain error to the client. `cancel` readable:
    /// gives up with kind cancelled; the work goes on while other clients wait for it.
    Result<PullResult> pull(const PullRequest& request, const ProgressSink& progress,
                            FdView cancel);

    /// The tags a repository has.
    Result<std::vector<std::string>> tags(const Reference& repository,
                                          const Credentials& credentials, FdView cancel);
    const PullOptions& options() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace corten::image
