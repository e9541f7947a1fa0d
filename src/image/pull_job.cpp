#include "pull_job.hpp"

#include "limited_source.hpp"

#include <storage/compression.hpp>

#include <condition_variable>
#include <mutex>

namespace corten::image {

namespace {

constexpr auto progress_interval = std::chrono::milliseconds(100);
constexpr auto keep_after_failure = std::chrono::hours(1);
/// What is smaller is as soon fetched again.
constexpr std::int64_t worth_keeping = 1 << 20;

/// Whether another try would find the same bytes wrong again, or has no room for them.
bool is_lost(const Error& error) {
    return error.kind() != ErrorKind::unavailable && error.kind() != ErrorKind::cancelled;
}

Result<void> drain(storage::Source& source) {
    while (!TRY(source.next()).empty()) {
    }
    return {};
}

/// Results of layers that are worked on in parallel and used in order. The first error stops those
/// that have not begun.
class LayerResults {
public:
    explicit LayerResults(std::size_t count) : results_(count) {}

    /// The next layer to work on; nullopt when there is none or all is lost.
    std::optional<std::size_t> claim() {
        std::lock_guard lock(mutex_);
        if (failed_ || next_ == results_.size()) return std::nullopt;
        return next_++;
    }
    /// True for the first error.
    bool put(std::size_t index, Result<FetchedLayer> result) {
        std::lock_guard lock(mutex_);
        const bool first_error = !result && !failed_;
        if (first_error) error_ = result.error();
        failed_ = failed_ || !result;
        results_[index].emplace(std::move(result));
        changed_.notify_all();
        return first_error;
    }
    Result<FetchedLayer> take(std::size_t index) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return failed_ || results_[index].has_value(); });
        // One that was finished before another failed is worth keeping.
        if (results_[index] && *results_[index]) return *std::move(results_[index]);
        return *error_;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::optional<Result<FetchedLayer>>> results_;
    std::size_t next_ = 0;
    bool failed_ = false;
    std::optional<Error> error_;
};

storage::PackedLayer packed(const oci::Descriptor& blob, const std::string& diff_id) {
    return {.digest = blob.digest,
            .diff_id = diff_id,
            .media_type = blob.media_type,
            .size = static_cast<std::uint64_t>(blob.size)};
}

class SlotGuard {
public:
    explicit SlotGuard(Slots& slots) : slots_(slots) { slots_.acquire(); }
    ~SlotGuard() { slots_.release(); }
    SlotGuard(const SlotGuard&) = delete;

private:
    Slots& slots_;
};

}  // namespace

/// What is to be done for an image whose config is known.
struct PullJob::Plan {
    std::string config;
    std::vector<std::string> diff_ids;
    std::vector<std::string> chain_ids;
    std::size_t present = 0;  ///< layers from the lowest up that are in the store
};

PullJob::PullJob(storage::Store& store, const PullOptions& options, Shares& shares,
                 PullRequest request, sys::Event cancel)
    : store_(store),
      options_(options),
      shares_(shares),
      request_(std::move(request)),
      cancel_(std::move(cancel)),
      transport_(transport_options(options, cancel_.fd())) {}

void PullJob::say(std::string status, std::string id) {
    feed_.publish({.status = std::move(status), .id = std::move(id)});
}

Result<PullResult> PullJob::run() {
    auto result = pull();
    feed_.close();
    return result;
}

Result<PullResult> PullJob::pull() {
    const auto platform = request_.platform.value_or(oci::host_platform());
    auto resolved = TRY(
        resolve(transport_, options_.registry, request_.reference, request_.credentials, platform));
    say("Pulling from " + request_.reference.path, request_.reference.target());
    tell_warnings(resolved);
    if (const auto known = store_.images().get(resolved.image.config.digest)) {
        // The same config with other layers is not the same image.
        TRY(oci::parse_image(known->config, resolved.image.layers.size()));
        const bool updated = TRY(record_references(resolved, resolved.image.config.digest));
        return finish(resolved, updated);
    }
    records_.emplace(TRY(Records::open(store_.db())));
    auto lease = TRY(store_.images().lease("pull of " + request_.reference.canonical()));
    const Plan work = TRY(plan(resolved, lease));
    auto chain = fetch_layers(resolved, work, lease);
    if (!chain) {
        // What is finished serves the next try, unless the disk is what failed.
        // What cannot be done about it is no reason to hide what went wrong.
        if (chain.error().kind() == ErrorKind::no_space)
            store_.blobs().remove_partials().ignore();
        else
            lease.keep_for(keep_after_failure).ignore();
        return std::move(chain).error();
    }
    const bool updated = TRY(record(resolved, work, *chain));
    return finish(resolved, updated);
}

Result<PullJob::Plan> PullJob::plan(const Resolved& resolved, storage::Lease& lease) {
    Plan plan;
    plan.config = TRY(with_first_that_has<std::string>(resolved.sessions, [&](Session& session) {
        return session.small_blob(resolved.image.config, oci::config_limit);
    }));
    const auto image = TRY(oci::parse_image(plan.config, resolved.image.layers.size()));
    if (image.os != "linux" && !image.os.empty())
        return fail(ErrorKind::unsupported,
                    "image operating system \"{}\" cannot be used on this platform", image.os);
    plan.diff_ids = image.rootfs.diff_ids;
    for (const auto& diff_id : plan.diff_ids)
        plan.chain_ids.push_back(storage::chain_id(
            plan.chain_ids.empty() ? std::string() : plan.chain_ids.back(), diff_id));
    // A layer in the store has all those below it, so the first that is found from above is enough.
    for (plan.present = plan.chain_ids.size(); plan.present > 0; --plan.present) {
        if (TRY(hold_present(plan.chain_ids[plan.present - 1], lease))) break;
    }
    return plan;
}

/// Whether the layer is in the store; then it stays there.
Result<bool> PullJob::hold_present(const std::string& chain_id, storage::Lease& lease) {
    auto change = TRY(store_.db().begin());
    if (!TRY(store_.layers().find(chain_id))) return false;
    TRY(lease.add_layer(chain_id));
    TRY(change.commit());
    return true;
}

BlobOptions PullJob::options_for(const oci::Descriptor& layer, storage::PartialBlob* kept) {
    const int connections = options_.registry.connections_per_layer;
    const std::string id(oci::short_digest(layer.digest));
    const std::int64_t total = layer.size;
    auto last = std::make_shared<std::chrono::steady_clock::time_point>();
    const auto received = [this, id, total, last](std::uint64_t bytes) {
        const auto now = std::chrono::steady_clock::now();
        if (now - *last < progress_interval) return;
        *last = now;
        feed_.publish({.status = "Downloading",
                       .id = id,
                       .current = static_cast<std::int64_t>(bytes),
                       .total = total});
    };
    const auto complete = [this, id] {
        say("Verifying Checksum", id);
        say("Download complete", id);
    };
    return {.received = received,
            .complete = complete,
            .partial = kept,
            .chunks = connections > 1 ? &shares_.chunks : nullptr,
            .several = {.connections = connections}};
}

/// Without one the layer comes all the same: another pull may be at it, or the disk be full.
std::optional<storage::PartialBlob> PullJob::kept_download(const oci::Descriptor& layer) {
    if (layer.size < worth_keeping && !options_.keep_blobs) return {};
    auto partial = store_.blobs().partial(layer.digest);
    if (!partial) return {};
    return *std::move(partial);
}

Result<storage::WindowMemory::Part> PullJob::take_window(std::size_t bytes) {
    auto part = shares_.windows.take(bytes, [this] { return cancel_.is_set(); });
    if (!part) return fail(ErrorKind::cancelled, "context canceled");
    return *std::move(part);
}

Result<FetchedLayer> PullJob::unpack(const std::vector<Session*>& sessions,
                                     const oci::Descriptor& layer, storage::PartialBlob* kept) {
    BlobSource blob(sessions, layer, options_for(layer, kept));
    const auto download = storage::read_ahead(blob);
    const auto inflated = TRY(storage::Decompressor::create(*download, [this](std::size_t bytes) {
                                  return take_window(bytes);
                              }).context("layer " + layer.digest));
    LimitedSource tar(*inflated, options_.layer_limits.bytes);
    auto unpacked = store_.layers().unpack(tar, {.limits = options_.layer_limits});
    // Bytes that are not a layer at all are usually not the blob that was asked for: its digest is
    // the better message. Otherwise what follows the compressed stream still belongs to the digest.
    if (unpacked || unpacked.error().kind() == ErrorKind::corrupt) TRY(drain(*download));
    auto pending = TRY(std::move(unpacked).context("layer " + layer.digest));
    return FetchedLayer{std::move(pending), {}};
}

Result<FetchedLayer> PullJob::try_layer(const std::vector<Session*>& sessions,
                                        const oci::Descriptor& layer,
                                        std::optional<storage::PartialBlob> kept) {
    auto fetched = unpack(sessions, layer, kept ? &*kept : nullptr);
    if (!fetched) {
        if (kept && is_lost(fetched.error())) kept->discard();
        return fetched;
    }
    if (kept) fetched->download.emplace(*std::move(kept));
    return fetched;
}

/// Of one repository only: a slow one must not hold up what others have.
Result<FetchedLayer> PullJob::claim_layer(const std::vector<Session*>& sessions,
                                          const oci::Descriptor& layer, const std::string& chain_id,
                                          storage::Lease& lease) {
    auto claim = shares_.claims.take(
        fmt::format("{} {} {}", request_.reference.name(), chain_id, layer.digest), cancel_);
    if (!claim) return fail(ErrorKind::cancelled, "context canceled");
    if (claim->waited() && TRY(hold_present(chain_id, lease))) return FetchedLayer{};
    auto fetched = TRY(fetch_layer(sessions, layer));
    fetched.claim.emplace(*std::move(claim));
    return fetched;
}

Result<FetchedLayer> PullJob::fetch_layer(const std::vector<Session*>& sessions,
                                          const oci::Descriptor& layer) {
    const SlotGuard slot(shares_.layers);
    if (cancel_.is_set()) return fail(ErrorKind::cancelled, "context canceled");
    auto kept = kept_download(layer);
    const bool resumed = kept && kept->size() > 0;
    auto fetched = try_layer(sessions, layer, std::move(kept));
    if (fetched || !resumed || fetched.error().kind() != ErrorKind::corrupt) return fetched;
    // A power cut may have spoilt what was kept; what the registry sends now decides.
    return try_layer(sessions, layer, {});
}

Result<std::string> PullJob::fetch_layers(Resolved& resolved, const Plan& plan,
                                          storage::Lease& lease) {
    const auto& layers = resolved.image.layers;
    const std::size_t missing = layers.size() - plan.present;
    const std::size_t workers = std::min(missing, options_.downloads);
    // A daemon that was killed between a layer and the removal of its download has left that.
    for (std::size_t i = 0; i < plan.present; ++i)
        store_.blobs().remove_partial(layers[i].digest).ignore();
    for (std::size_t i = 0; i < layers.size(); ++i)
        say(i < plan.present ? "Already exists" : "Pulling fs layer",
            std::string(oci::short_digest(layers[i].digest)));
    for (std::size_t i = plan.present + workers; i < layers.size(); ++i)
        say("Waiting", std::string(oci::short_digest(layers[i].digest)));

    LayerResults results(missing);
    const auto sessions = resolved.session_list();
    const auto work = [&] {
        while (const auto index = results.claim()) {
            const std::size_t at = plan.present + *index;
            if (results.put(*index, claim_layer(sessions, layers[at], plan.chain_ids[at], lease)))
                cancel_.set();
        }
    };
    std::vector<std::thread> threads;
    threads.reserve(workers);
    for (std::size_t i = 0; i < workers; ++i) threads.emplace_back(work);
    const auto commit_all = [&]() -> Result<std::string> {
        std::string parent = plan.present > 0 ? plan.chain_ids[plan.present - 1] : std::string();
        for (std::size_t i = plan.present; i < layers.size(); ++i) {
            const std::string id(oci::short_digest(layers[i].digest));
            auto fetched = TRY(results.take(i - plan.present));
            if (!fetched.pending) {
                parent = plan.chain_ids[i];
                say("Already exists", id);
                continue;
            }
            feed_.publish({.status = "Extracting",
                           .id = id,
                           .current = layers[i].size,
                           .total = layers[i].size});
            auto placed = store_.images().commit_layer(*std::move(fetched.pending), parent,
                                                       plan.diff_ids[i], lease);
            const bool whole = fetched.download && fetched.download->size() ==
                                                       static_cast<std::uint64_t>(layers[i].size);
            if (placed && whole && options_.keep_blobs)
                TRY(store_.packed_layers().keep(packed(layers[i], plan.diff_ids[i]),
                                                *std::move(fetched.download)));
            else if (fetched.download)
                fetched.download->discard();
            if (!placed) return std::move(placed).error().context("layer " + layers[i].digest);
            parent = plan.chain_ids[i];
            TRY(record_origin(layers[i], plan.diff_ids[i]));
            say("Pull complete", id);
        }
        return parent;
    };
    auto chain = commit_all();
    if (!chain) cancel_.set();
    for (auto& thread : threads) thread.join();
    return chain;
}

Result<void> PullJob::record_origin(const oci::Descriptor& layer, const std::string& diff_id) {
    return records_->add_origin(diff_id, {.repository = request_.reference.name(),
                                          .digest = layer.digest,
                                          .size = layer.size,
                                          .media_type = layer.media_type});
}

Result<bool> PullJob::record(const Resolved& resolved, const Plan& plan,
                             const std::string& chain_id) {
    auto change = TRY(store_.db().begin());
    const std::string id =
        TRY(store_.images().put({.config = plan.config,
                                 .manifest = resolved.manifest.bytes,
                                 .manifest_digest = resolved.manifest.digest,
                                 .manifest_media_type = resolved.image.media_type,
                                 .chain_id = chain_id}));
    const bool updated = TRY(record_references(resolved, id));
    TRY(change.commit());
    return updated;
}

Result<bool> PullJob::record_references(const Resolved& resolved, const std::string& id) {
    auto change = TRY(store_.db().begin());
    const Reference& reference = request_.reference;
    const std::string by_digest = reference.name() + "@" + resolved.digest;
    const bool tagged = reference.digest.empty();
    const auto before =
        TRY(store_.images().image_of(tagged ? reference.name() + ":" + reference.tag : by_digest));
    std::string index;
    if (resolved.index) {
        index = resolved.index->digest;
        TRY(store_.indexes().put({.digest = index,
                                  .media_type = resolved.index->content_type,
                                  .content = resolved.index->bytes,
                                  .images = {{.manifest_digest = resolved.manifest.digest,
                                              .manifest = resolved.manifest.bytes,
                                              .image_id = id}}}));
    }
    TRY(store_.images().tag(by_digest, id, index));
    if (tagged) TRY(store_.images().tag(reference.name() + ":" + reference.tag, id, index));
    TRY(change.commit());
    return before != id;
}

void PullJob::tell_warnings(const Resolved& resolved) {
    for (const auto& session : resolved.sessions)
        for (auto& warning : session->take_warnings()) say("Warning of the registry: " + warning);
}

PullResult PullJob::finish(const Resolved& resolved, bool updated) {
    tell_warnings(resolved);
    say("Digest: " + resolved.digest);
    say(fmt::format("Status: {} {}",
                    updated ? "Downloaded newer image for" : "Image is up to date for",
                    request_.reference.familiar()));
    return {
        .image_id = resolved.image.config.digest, .digest = resolved.digest, .updated = updated};
}

}  // namespace corten::image
