#include "names.hpp"
#include "records.hpp"
#include "referrers.hpp"
#include "resolve.hpp"
#include "upload.hpp"

#include <image/platforms.hpp>
#include <image/pusher.hpp>
#include <storage/compression.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace corten::image {

namespace {

constexpr std::size_t uploads = 3;
constexpr auto progress_interval = std::chrono::milliseconds(100);

struct LayerToPush {
    std::string chain_id;
    std::string diff_id;
    std::uint64_t tar_size = 0;  ///< 0 when it is not known
    std::string blob{};          ///< digest that the image's manifest names, "" when it has none

    std::string id() const { return std::string(oci::short_digest(diff_id)); }
};

/// Tells the client from several threads, one at a time.
class Reporter {
public:
    explicit Reporter(const ProgressSink& sink) : sink_(sink) {}
    void tell(const Progress& event) {
        std::lock_guard lock(mutex_);
        sink_(event);
    }

private:
    const ProgressSink& sink_;
    std::mutex mutex_;
};

/// Counts the tar's bytes on their way into the compressor.
class ReportingSink final : public storage::Sink {
public:
    ReportingSink(storage::Sink& out, Reporter& reporter, const LayerToPush& layer)
        : out_(out), reporter_(reporter), layer_(layer) {}
    Result<void> write(std::string_view bytes) override {
        count_ += bytes.size();
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ >= progress_interval) {
            last_ = now;
            reporter_.tell({.status = "Pushing",
                            .id = layer_.id(),
                            .current = static_cast<std::int64_t>(count_),
                            .total = static_cast<std::int64_t>(layer_.tar_size)});
        }
        return out_.write(bytes);
    }

private:
    storage::Sink& out_;
    Reporter& reporter_;
    const LayerToPush& layer_;
    std::uint64_t count_ = 0;
    std::chrono::steady_clock::time_point last_{};
};

class PushJob {
public:
    PushJob(storage::Store& store, Records records, Session& session, Reporter& reporter)
        : store_(store), records_(records), session_(session), reporter_(reporter) {}

    Result<void> run(const NamedImage& named, const Reference& reference,
                     const std::optional<oci::Platform>& platform) {
        const auto index = named.index.empty() ? std::optional<storage::ImageIndex>()
                                               : TRY(store_.indexes().find(named.index));
        if (index && !platform) {
            const auto document = TRY(parse_index(*index));
            if (is_whole(document, *index)) return push_index(named, *index, document, reference);
        }
        const auto image = TRY(image_for(store_, found_of(named), reference.familiar(), platform));
        const auto pushed = TRY(push_image(image, reference.tag));
        // Else another platform's image would get a name of its own here.
        if (image.id == named.id) TRY(remember_digest(reference, pushed.digest, image.id));
        tell_pushed(reference, pushed);
        if (index && !platform)
            reporter_.tell({.instead = Progress::PushedInstead{descriptor_of(*index), pushed}});
        return {};
    }

private:
    static bool is_whole(const oci::Index& document, const storage::ImageIndex& index) {
        return std::ranges::all_of(document.manifests, [&](const oci::Descriptor& entry) {
            return std::ranges::find(index.images, entry.digest,
                                     &storage::IndexedImage::manifest_digest) != index.images.end();
        });
    }

    /// Every image by its digest, then the index; a new one where a manifest had to be.
    Result<void> push_index(const NamedImage& named, const storage::ImageIndex& index,
                            oci::Index document, const Reference& reference) {
        storage::ImageIndex pushed = index;
        for (auto& entry : document.manifests) {
            const auto at = std::ranges::find(pushed.images, entry.digest,
                                              &storage::IndexedImage::manifest_digest);
            auto image = TRY(store_.images().get(at->image_id));
            image.manifest = at->manifest;
            image.manifest_media_type = entry.media_type;
            const auto manifest = TRY(push_image(image, {}, &at->manifest));
            at->manifest_digest = manifest.digest;
            entry.media_type = manifest.media_type;
            entry.size = manifest.size;
            entry.digest = manifest.digest;
        }
        if (!std::ranges::equal(pushed.images, index.images, {},
                                &storage::IndexedImage::manifest_digest,
                                &storage::IndexedImage::manifest_digest))
            pushed.content = dump_json(to_json(document));
        pushed.digest = storage::sha256_digest(pushed.content);
        TRY(session_.put_manifest(reference.tag, pushed.media_type, pushed.content)
                .context("index " + reference.familiar()));
        TRY(remember_index(reference, pushed, named.id));
        tell_pushed(reference, descriptor_of(pushed));
        return {};
    }

    /// Unless the image was removed while it was pushed.
    Result<void> remember_digest(const Reference& reference, const std::string& digest,
                                 const std::string& id, const std::string& index = {}) {
        const auto tagged = store_.images().tag(reference.name() + "@" + digest, id, index);
        if (!tagged && tagged.error().kind() != ErrorKind::not_found) return tagged.error();
        return {};
    }

    Result<void> remember_index(const Reference& reference, const storage::ImageIndex& pushed,
                                const std::string& id) {
        auto change = TRY(store_.db().begin());
        for (const auto& image : pushed.images)
            if (!store_.images().get(image.image_id)) return {};  // removed meanwhile
        TRY(store_.indexes().put(pushed));
        TRY(remember_digest(reference, pushed.digest, id, pushed.digest));
        return change.commit();
    }

    /// Its layers, its configuration and its manifest, under `tag` or, when that is empty, under
    /// its digest. Gives the manifest's descriptor, and its text where `sent` is given.
    Result<oci::Descriptor> push_image(const storage::Image& image, const std::string& tag,
                                       std::string* sent = nullptr) {
        const auto layers = TRY(plan(image));
        for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer)
            reporter_.tell({.status = "Preparing", .id = layer->id()});
        const auto blobs = TRY(push_layers(layers));
        TRY(Uploader(session_).put(image.config, image.id).context("image config"));
        const auto [text, type] = manifest_for(image, blobs);
        auto descriptor = describe(type, text);
        const bool noted =
            TRY(session_.put_manifest(tag.empty() ? descriptor.digest : tag, type, text)
                    .context("manifest"));
        if (!noted) TRY(note_subject(text, descriptor));
        if (sent) *sent = text;
        return descriptor;
    }

    /// Of a registry that has no referrers API, if the image refers to another.
    Result<void> note_subject(const std::string& text, const oci::Descriptor& pushed) {
        const auto parsed = TRY(oci::parse_manifest(text, pushed.media_type));
        const auto& manifest = std::get<oci::Manifest>(parsed);
        return manifest.subject ? note_referrer(session_, manifest, pushed) : Result<void>();
    }

    static oci::Descriptor describe(const std::string& type, std::string_view text) {
        return {.media_type = type,
                .digest = storage::sha256_digest(text),
                .size = static_cast<std::int64_t>(text.size())};
    }
    static oci::Descriptor descriptor_of(const storage::ImageIndex& index) {
        return {.media_type = index.media_type,
                .digest = index.digest,
                .size = static_cast<std::int64_t>(index.content.size())};
    }

    void tell_pushed(const Reference& reference, const oci::Descriptor& pushed) {
        reporter_.tell({.status = fmt::format("{}: digest: {} size: {}", reference.tag,
                                              pushed.digest, pushed.size)});
        reporter_.tell({.aux = Progress::Pushed{reference.tag, pushed.digest, pushed.size}});
        for (auto& warning : session_.take_warnings())
            reporter_.tell({.status = "Warning of the registry: " + warning});
    }

    Result<std::vector<LayerToPush>> plan(const storage::Image& image) {
        const auto document = TRY(oci::parse_image(image.config));
        std::vector<LayerToPush> layers;
        std::string chain;
        for (const auto& diff_id : document.rootfs.diff_ids) {
            chain = storage::chain_id(chain, diff_id);
            const auto layer = TRY(store_.layers().get(chain));
            layers.push_back({chain, diff_id, layer.tar_size.value_or(0)});
        }
        const auto parsed = oci::parse_manifest(image.manifest, image.manifest_media_type);
        const auto* manifest = parsed ? std::get_if<oci::Manifest>(&*parsed) : nullptr;
        if (manifest && manifest->layers.size() == layers.size())
            for (std::size_t i = 0; i < layers.size(); ++i)
                layers[i].blob = manifest->layers[i].digest;
        return layers;
    }

    /// All layers, some at a time; the first error ends it.
    Result<std::vector<oci::Descriptor>> push_layers(const std::vector<LayerToPush>& layers) {
        std::vector<oci::Descriptor> blobs(layers.size());
        std::atomic<std::size_t> next = 0;
        Sync<std::optional<Error>> failure;
        const auto work = [&] {
            for (std::size_t i = next++; i < layers.size(); i = next++) {
                auto pushed = push_layer(layers[i]);
                if (pushed) {
                    blobs[i] = *std::move(pushed);
                    continue;
                }
                next = layers.size();
                failure.with([&](auto& first) {
                    if (!first) first = std::move(pushed).error();
                });
            }
        };
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < std::min(uploads, layers.size()); ++i)
            threads.emplace_back(work);
        for (auto& thread : threads) thread.join();
        if (auto error = failure.with([](auto& first) { return first; })) return *error;
        return blobs;
    }

    /// The blob that holds the layer in the target repository, once it is there.
    Result<oci::Descriptor> push_layer(const LayerToPush& layer) {
        const auto origins = TRY(records_.origins(layer.diff_id));
        for (const auto& origin : origins)
            if (const auto status = TRY(reuse(origin)); !status.empty()) {
                reporter_.tell({.status = status, .id = layer.id()});
                TRY(remember(layer, origin));
                return descriptor_of(origin);
            }
        const auto kept = TRY(kept_blob(layer));
        const auto blob = TRY(kept ? send_kept(layer, *kept) : send(layer));
        const LayerOrigin origin{
            .digest = blob.digest,
            .size = blob.size,
            .media_type = kept ? kept->media_type : std::string(oci::media::docker_layer_gzip)};
        TRY(remember(layer, origin));
        reporter_.tell({.status = "Pushed", .id = layer.id()});
        return descriptor_of(origin);
    }

    /// "" when the blob of `origin` cannot serve.
    Result<std::string> reuse(const LayerOrigin& origin) {
        const Reference& target = session_.repository();
        const auto from = TRY(Reference::parse(origin.repository));
        Uploader uploader(session_);
        if (TRY(uploader.has(origin.digest))) return std::string("Layer already exists");
        if (from.domain != target.domain || from.path == target.path) return std::string();
        if (TRY(uploader.mount(origin.digest, from.path))) return "Mounted from " + from.path;
        return std::string();
    }

    /// The one that the manifest names, if there are several.
    Result<std::optional<storage::PackedLayer>> kept_blob(const LayerToPush& layer) {
        std::optional<storage::PackedLayer> chosen;
        for (auto& kept : TRY(store_.packed_layers().of(layer.diff_id)))
            if (!chosen || kept.digest == layer.blob) chosen = std::move(kept);
        return chosen;
    }

    /// As it was pulled, so that the manifest stays what it is.
    Result<UploadedBlob> send_kept(const LayerToPush& layer, const storage::PackedLayer& kept) {
        LayerToPush shown = layer;
        shown.tar_size = kept.size;
        auto sent = TRY(Uploader(session_)
                            .stream([&](storage::Sink& out) -> Result<void> {
                                const Fd file = TRY(store_.blobs().open_blob(kept.digest));
                                storage::FdSource bytes(file);
                                ReportingSink reporting(out, reporter_, shown);
                                TRY(storage::copy(bytes, reporting));
                                return {};
                            })
                            .context("layer " + layer.id()));
        if (sent.digest == kept.digest) return sent;
        return fail(ErrorKind::corrupt,
                    "layer {}: the blob {} that was kept of it has changed on the disk: mend the "
                    "store with `corten store check --repair`, then push again",
                    layer.id(), kept.digest);
    }

    Result<UploadedBlob> send(const LayerToPush& layer) {
        return Uploader(session_)
            .stream([&](storage::Sink& out) -> Result<void> {
                const auto gzip = TRY(storage::Compressor::create(storage::Compression::gzip, out));
                ReportingSink tar(*gzip, reporter_, layer);
                TRY(store_.layers().write_tar(layer.chain_id, tar));
                return gzip->finish();
            })
            .context("layer " + layer.id());
    }

    Result<void> remember(const LayerToPush& layer, LayerOrigin origin) {
        origin.repository = session_.repository().name();
        return records_.add_origin(layer.diff_id, origin);
    }

    static oci::Descriptor descriptor_of(const LayerOrigin& origin) {
        return {.media_type = origin.media_type, .digest = origin.digest, .size = origin.size};
    }

    /// The manifest the image came with, when every blob is the one it names; else a new one.
    static std::pair<std::string, std::string> manifest_for(
        const storage::Image& image, const std::vector<oci::Descriptor>& blobs) {
        if (!image.manifest.empty()) {
            const auto parsed = oci::parse_manifest(image.manifest, image.manifest_media_type);
            const auto* known = parsed ? std::get_if<oci::Manifest>(&*parsed) : nullptr;
            if (known && std::ranges::equal(known->layers, blobs, {}, &oci::Descriptor::digest,
                                            &oci::Descriptor::digest))
                return {image.manifest, known->media_type};
        }
        const bool docker = std::ranges::all_of(blobs, [](const oci::Descriptor& blob) {
            return blob.media_type == oci::media::docker_layer_gzip;
        });
        oci::Manifest manifest;
        manifest.media_type = docker ? oci::media::docker_manifest : oci::media::oci_manifest;
        manifest.config = {
            .media_type = std::string(docker ? oci::media::docker_config : oci::media::oci_config),
            .digest = image.id,
            .size = static_cast<std::int64_t>(image.config.size())};
        manifest.layers = blobs;
        for (auto& layer : manifest.layers)
            if (!docker && layer.media_type == oci::media::docker_layer_gzip)
                layer.media_type = oci::media::oci_layer_gzip;
        return {dump_json(to_json(manifest)), manifest.media_type};
    }

    storage::Store& store_;
    Records records_;
    Session& session_;
    Reporter& reporter_;
};

/// What the name stands for. Whoever removes it meanwhile does not take its layers.
Result<std::vector<NamedImage>> hold_images(storage::Store& store, const Reference& target,
                                            const PushRequest& request, storage::Lease& lease) {
    auto change = TRY(store.db().begin());
    auto images = find_images(store, request.name);
    if (!images && images.error().kind() != ErrorKind::not_found) return images;
    if (!images || images->empty() || images->front().references.empty())
        return fail(ErrorKind::not_found, "An image does not exist locally with the tag: {}",
                    target.familiar_name());
    for (const auto& named : *images) {
        TRY(image_for(store, found_of(named), named.references.front().familiar(),
                      request.platform));
        for (const auto& image : TRY(platform_images(store, found_of(named))))
            TRY(lease.add_layer(image.chain_id));
    }
    TRY(change.commit());
    return images;
}

}  // namespace

Result<void> push(storage::Store& store, const PushRequest& request, const PullOptions& options,
                  const ProgressSink& progress, FdView cancel) {
    const auto target = TRY(Reference::parse(request.name));
    if (!target.digest.empty()) return fail(ErrorKind::invalid, "cannot push a digest reference");
    auto lease = TRY(store.images().lease("images being pushed"));
    const auto images = TRY(hold_images(store, target, request, lease));
    Transport transport(transport_options(options, cancel));
    RegistryConfig config = options.registry;
    config.mirrors.clear();  // they are for reading
    auto sessions = TRY(open_sessions(transport, config, target, request.credentials, "pull,push"));
    Reporter reporter(progress);
    reporter.tell({.status = fmt::format("The push refers to repository [{}]", target.name())});
    TRY(with_first_reachable<void>(sessions, [](Session& session) { return session.ping(); }));
    PushJob job(store, TRY(Records::open(store.db())), *sessions.front(), reporter);
    for (const auto& image : images)
        for (const auto& reference : image.references)
            TRY(job.run(image, reference, request.platform));
    return {};
}

}  // namespace corten::image
