#pragma once
// One pull from the first request to the recorded image. Runs in a thread of its own, for as many
// clients as asked for it.
#include "blob_source.hpp"
#include "feed.hpp"
#include "layer_claims.hpp"
#include "records.hpp"
#include "resolve.hpp"

#include <image/puller.hpp>
#include <storage/window_memory.hpp>
#include <sys/poll.hpp>

namespace corten::image {

/// What all pulls have together.
struct Shares {
    Slots layers;  ///< in work
    Slots chunks;  ///< that came before their turn and wait in memory
    /// What zstd layers look back on.
    storage::WindowMemory windows;
    LayerClaims claims{};
};

struct FetchedLayer {
    /// nullopt: another pull has given it its place.
    std::optional<storage::PendingLayer> pending;
    /// The download, given up once the layer has its place.
    std::optional<storage::PartialBlob> download;
    std::optional<LayerClaims::Claim> claim{};  ///< until it has its place
};

class PullJob {
public:
    PullJob(storage::Store& store, const PullOptions& options, Shares& shares, PullRequest request,
            sys::Event cancel);

    Result<PullResult> run();
    ProgressFeed& feed() { return feed_; }
    void cancel() { cancel_.set(); }

private:
    struct Plan;
    Result<PullResult> pull();
    Result<Plan> plan(const Resolved& resolved, storage::Lease& lease);
    Result<std::string> fetch_layers(Resolved& resolved, const Plan& plan, storage::Lease& lease);
    Result<FetchedLayer> claim_layer(const std::vector<Session*>& sessions,
                                     const oci::Descriptor& layer, const std::string& chain_id,
                                     storage::Lease& lease);
    Result<bool> hold_present(const std::string& chain_id, storage::Lease& lease);
    Result<FetchedLayer> fetch_layer(const std::vector<Session*>& sessions,
                                     const oci::Descriptor& layer);
    Result<FetchedLayer> try_layer(const std::vector<Session*>& sessions,
                                   const oci::Descriptor& layer,
                                   std::optional<storage::PartialBlob> kept);
    Result<FetchedLayer> unpack(const std::vector<Session*>& sessions, const oci::Descriptor& layer,
                                storage::PartialBlob* kept);
    Result<storage::WindowMemory::Part> take_window(std::size_t bytes);
    std::optional<storage::PartialBlob> kept_download(const oci::Descriptor& layer);
    Result<bool> record(const Resolved& resolved, const Plan& plan, const std::string& chain_id);
    Result<void> record_origin(const oci::Descriptor& layer, const std::string& diff_id);
    Result<bool> record_references(const Resolved& resolved, const std::string& id);
    PullResult finish(const Resolved& resolved, bool updated);
    void tell_warnings(const Resolved& resolved);
    void say(std::string status, std::string id = {});
    BlobOptions options_for(const oci::Descriptor& layer, storage::PartialBlob* kept);

    storage::Store& store_;
    const PullOptions& options_;
    Shares& shares_;
    const PullRequest request_;
    sys::Event cancel_;
    Transport transport_;
    std::optional<Records> records_;  // once there is something to record
    ProgressFeed feed_;
};

}  // namespace corten::image
