#include "limited_source.hpp"
#include "reader_source.hpp"
#include "spool.hpp"

#include <base/text.hpp>
#include <image/archive.hpp>
#include <image/platforms.hpp>
#include <image/reference.hpp>
#include <oci/image_spec.hpp>
#include <storage/compression.hpp>
#include <storage/digest.hpp>

#include <algorithm>

namespace corten::image {

namespace {

constexpr int deepest_index = 4;
constexpr auto progress_interval = std::chrono::milliseconds(100);

struct ArchivedImage {
    std::string config;
    std::vector<std::string> repo_tags;
    std::vector<std::string> layers;
    static constexpr void fields(auto visit) {
        visit(field("Config", &ArchivedImage::config), field("RepoTags", &ArchivedImage::repo_tags),
              field("Layers", &ArchivedImage::layers));
    }
};

/// One image of an archive, whatever its layout.
struct FoundImage {
    std::string config;
    std::vector<std::string> layers;  ///< names in the archive, lowest first
    std::string manifest_digest{};    ///< "" in docker's old layout
    std::string manifest{};
};

/// What a name in the archive stands for. The image that is meant when no platform is said comes
/// first.
struct FoundEntry {
    std::vector<FoundImage> images;
    std::vector<Reference> references;
    std::optional<storage::ImageIndex> index{};  ///< without its images
};

std::string blob_name(std::string_view digest) {
    return fmt::format("blobs/sha256/{}", oci::digest_hex(digest));
}

/// A name with a digest is a claim that an archive cannot prove: who pulls by digest relies on it.
Result<Reference> parse_tag(const std::string& text) {
    const Reference reference = TRY(Reference::parse(text));
    if (!reference.digest.empty()) return fail(ErrorKind::invalid, "invalid tag \"{}\"", text);
    return reference.with_default_tag();
}

Result<std::vector<FoundEntry>> docker_entries(const Spool& spool) {
    const auto text = TRY(spool.read("manifest.json", oci::manifest_limit));
    std::vector<FoundEntry> found;
    for (const auto& entry :
         TRY(parse_as<std::vector<ArchivedImage>>(text, "manifest.json of the archive"))) {
        FoundEntry named{.images = {{.config = TRY(spool.read(entry.config, oci::config_limit)),
                                     .layers = entry.layers}},
                         .references = {}};
        for (const auto& tag : entry.repo_tags) named.references.push_back(TRY(parse_tag(tag)));
        found.push_back(std::move(named));
    }
    return found;
}

Result<std::string> read_blob(const Spool& spool, const oci::Descriptor& blob, std::size_t limit) {
    auto bytes = TRY(spool.read(blob_name(blob.digest), limit));
    if (storage::sha256_digest(bytes) != blob.digest)
        return fail(ErrorKind::corrupt, "blob {} of the archive has another digest", blob.digest);
    return bytes;
}

/// Other tools put a whole name or only a tag into ref.name; a tag alone names nothing.
std::vector<Reference> references_of(const oci::Descriptor& entry) {
    for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
        const auto found = entry.annotations.find(key);
        if (found == entry.annotations.end()) continue;
        const bool whole = found->second.contains('/') || found->second.contains(':');
        const auto reference = parse_tag(found->second);
        if (whole && reference) return {*reference};
    }
    return {};
}

Result<FoundImage> oci_image(const Spool& spool, const oci::Descriptor& entry,
                             const oci::Manifest& manifest, std::string text) {
    FoundImage image{.config = TRY(read_blob(spool, manifest.config, oci::config_limit)),
                     .layers = {},
                     .manifest_digest = entry.digest,
                     .manifest = std::move(text)};
    for (const auto& layer : manifest.layers) image.layers.push_back(blob_name(layer.digest));
    return image;
}

/// The images below `entry` that are in the archive: an index may name more than was saved. Gives
/// how deep the indexes are nested, 0 for none.
Result<int> collect_images(const Spool& spool, const oci::Descriptor& entry, int depth,
                           std::vector<FoundImage>& images) {
    if (depth > deepest_index)
        return fail(ErrorKind::invalid, "indexes in the archive are nested too deep");
    auto text = TRY(read_blob(spool, entry, oci::manifest_limit));
    const auto parsed = TRY(oci::parse_manifest(text, entry.media_type));
    const auto* index = std::get_if<oci::Index>(&parsed);
    if (!index) {
        images.push_back(
            TRY(oci_image(spool, entry, std::get<oci::Manifest>(parsed), std::move(text))));
        return depth;
    }
    int deepest = depth + 1;
    for (const auto& child : index->manifests)
        if (!oci::is_attestation(child) && spool.has(blob_name(child.digest)))
            deepest = std::max(deepest, TRY(collect_images(spool, child, depth + 1, images)));
    return deepest;
}

/// Puts the image that this host would run first, if there is one.
Result<void> prefer_host(std::vector<FoundImage>& images) {
    oci::Index offered;
    for (const auto& image : images)
        offered.manifests.push_back({.digest = image.manifest_digest,
                                     .platform = platform_of(TRY(oci::parse_image(image.config)))});
    const auto best = oci::choose_platform(offered, oci::host_platform());
    if (!best) return {};
    const auto at = std::ranges::find(images, best->digest, &FoundImage::manifest_digest);
    std::rotate(images.begin(), at, at + 1);
    return {};
}

Result<FoundEntry> oci_entry(const Spool& spool, const oci::Descriptor& descriptor) {
    FoundEntry entry{.images = {}, .references = references_of(descriptor)};
    const int depth = TRY(collect_images(spool, descriptor, 0, entry.images));
    if (entry.images.empty())
        return fail(ErrorKind::invalid, "the archive holds no image of the index {}",
                    descriptor.digest);
    TRY(prefer_host(entry.images));
    // An index of indexes is not kept: then only one image can have the name.
    if (depth == 1)
        entry.index = {.digest = descriptor.digest,
                       .media_type = descriptor.media_type,
                       .content = TRY(read_blob(spool, descriptor, oci::manifest_limit)),
                       .images = {}};
    return entry;
}

/// Of each entry what is for one of the platforms.
Result<void> choose_platforms(std::vector<FoundEntry>& entries,
                              const std::vector<oci::Platform>& platforms) {
    if (platforms.empty()) return {};
    for (auto& entry : entries) {
        std::vector<FoundImage> chosen;
        std::vector<std::string> others;
        for (auto& image : entry.images) {
            const auto has = platform_of(TRY(oci::parse_image(image.config)));
            if (std::ranges::any_of(platforms, [&](const auto& p) { return provides(has, p); }))
                chosen.push_back(std::move(image));
            else
                others.push_back(oci::to_string(oci::normalized(has)));
        }
        if (chosen.empty())
            return fail(ErrorKind::not_found,
                        "the archive has {} for {}, but not for the specified platform ({})",
                        entry.references.empty() ? "an image" : entry.references[0].familiar(),
                        join(others, ", "), oci::to_string(platforms.front()));
        entry.images = std::move(chosen);
    }
    return {};
}

Result<std::vector<FoundEntry>> oci_entries(const Spool& spool, const oci::Index& index) {
    std::vector<FoundEntry> found;
    found.reserve(index.manifests.size());
    for (const auto& entry : index.manifests) found.push_back(TRY(oci_entry(spool, entry)));
    return found;
}

/// In an archive of both layouts docker's list is read, which has the names whole; only an index
/// with the images of several platforms cannot stand in it.
Result<std::vector<FoundEntry>> archive_entries(const Spool& spool) {
    const bool docker = spool.has("manifest.json");
    if (!spool.has("index.json")) {
        if (docker) return docker_entries(spool);
        return fail(ErrorKind::invalid,
                    "the archive holds no image: neither manifest.json nor index.json is in it");
    }
    const auto text = TRY(spool.read("index.json", oci::manifest_limit));
    const auto parsed = TRY(oci::parse_manifest(text, oci::media::oci_index));
    const auto& index = std::get<oci::Index>(parsed);
    const bool several = std::ranges::any_of(
        index.manifests, [](const auto& entry) { return oci::is_index(entry.media_type); });
    if (docker && !several) return docker_entries(spool);
    return oci_entries(spool, index);
}

/// Tells how far the reader of a layer is.
class LoadingSource final : public storage::Source {
public:
    LoadingSource(storage::Source& upstream, const ProgressSink& progress, std::string id,
                  std::int64_t size)
        : upstream_(upstream), progress_(progress), id_(std::move(id)), size_(size) {}
    Result<std::string_view> next() override {
        const auto bytes = TRY(upstream_.next());
        done_ += static_cast<std::int64_t>(bytes.size());
        const auto now = std::chrono::steady_clock::now();
        if (bytes.empty() || now - told_ < progress_interval) return bytes;
        told_ = now;
        progress_({.status = "Loading layer", .id = id_, .current = done_, .total = size_});
        return bytes;
    }

private:
    storage::Source& upstream_;
    const ProgressSink& progress_;
    const std::string id_;
    const std::int64_t size_;
    std::int64_t done_ = 0;
    std::chrono::steady_clock::time_point told_{};
};

class Loader {
public:
    Loader(storage::Store& store, const Spool& spool, const ProgressSink& progress,
           const LoadOptions& options)
        : store_(store), spool_(spool), progress_(progress), options_(options) {}

    /// Gives the ids, the one that is meant first.
    Result<std::vector<std::string>> load(const FoundEntry& found) {
        auto lease = TRY(store_.images().lease("image being loaded"));
        std::vector<std::string> chains;
        chains.reserve(found.images.size());
        for (const auto& image : found.images) chains.push_back(TRY(apply_layers(image, lease)));
        auto change = TRY(store_.db().begin());
        auto index = found.index;
        std::vector<std::string> ids;
        for (std::size_t i = 0; i < found.images.size(); ++i) {
            const auto& image = found.images[i];
            ids.push_back(
                TRY(store_.images().put({.config = image.config, .chain_id = chains[i]})));
            if (index) index->images.push_back({image.manifest_digest, image.manifest, ids.back()});
        }
        if (index && !found.references.empty()) TRY(store_.indexes().put(*index));
        std::vector<std::string> lines;
        for (const auto& reference : found.references)
            TRY(tag(reference, ids.front(), index ? index->digest : std::string(), lines));
        TRY(change.commit());
        if (lines.empty())
            for (const auto& id : ids) lines.push_back(fmt::format("Loaded image ID: {}\n", id));
        for (auto& line : lines) progress_({.stream = std::move(line)});
        return ids;
    }

private:
    /// Gives the chain id of the topmost.
    Result<std::string> apply_layers(const FoundImage& image, storage::Lease& lease) {
        const auto document = TRY(oci::parse_image(image.config, image.layers.size()));
        std::string chain;
        for (std::size_t i = 0; i < image.layers.size(); ++i) {
            const auto& diff_id = document.rootfs.diff_ids[i];
            const std::string parent = std::exchange(chain, storage::chain_id(chain, diff_id));
            const bool present = TRY(store_.layers().find(chain)) && lease.add_layer(chain);
            if (present) continue;
            TRY(apply(image.layers[i], parent, diff_id, lease).context("layer " + image.layers[i]));
        }
        return chain;
    }

    Result<void> apply(const std::string& name, const std::string& parent,
                       const std::string& diff_id, storage::Lease& lease) {
        const Fd file = TRY(spool_.open(name));
        const auto size = static_cast<std::int64_t>(TRY(spool_.size(name)));
        storage::FdSource bytes(file);
        LoadingSource packed(bytes, progress_, std::string(oci::short_digest(diff_id)), size);
        const auto inflated = TRY(storage::Decompressor::create(packed));
        LimitedSource tar(*inflated, options_.layer_limits.bytes);
        auto pending = TRY(store_.layers().unpack(tar, {.limits = options_.layer_limits}));
        TRY(store_.images().commit_layer(std::move(pending), parent, diff_id, lease));
        return {};
    }

    Result<void> tag(const Reference& reference, const std::string& id, const std::string& index,
                     std::vector<std::string>& lines) {
        const auto before = TRY(store_.images().tag(reference.canonical(), id, index));
        if (!before.empty() && before != id)
            lines.push_back(
                fmt::format("The image {} already exists, renaming the old one with ID "
                            "{} to empty string\n",
                            reference.familiar(), before));
        lines.push_back(fmt::format("Loaded image: {}\n", reference.familiar()));
        return {};
    }

    storage::Store& store_;
    const Spool& spool_;
    const ProgressSink& progress_;
    const LoadOptions& options_;
};

}  // namespace

Result<std::vector<std::string>> load(storage::Store& store, const ByteSource& archive,
                                      const ProgressSink& progress, const LoadOptions& options) {
    ReaderSource packed(archive);
    const auto inflated = TRY(storage::Decompressor::create(packed));
    const auto spool = TRY(Spool::unpack(store.root(), *inflated, options.layer_limits.bytes));
    auto entries = TRY(archive_entries(spool));
    TRY(choose_platforms(entries, options.platforms));
    std::vector<std::string> ids;
    for (const auto& entry : entries)
        for (auto& id : TRY(Loader(store, spool, progress, options).load(entry)))
            ids.push_back(std::move(id));
    return ids;
}

}  // namespace corten::image
