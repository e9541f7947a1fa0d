#include "limited_source.hpp"
#include "reader_source.hpp"
#include "records.hpp"
#include "spool.hpp"

#include <base/text.hpp>
#include <image/archive.hpp>
#include <image/reference.hpp>
#include <oci/image_spec.hpp>
#include <storage/compression.hpp>
#include <storage/digest.hpp>

namespace corten::image {

namespace {

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
    std::vector<Reference> references;
};

std::string blob_name(std::string_view digest) {
    return fmt::format("blobs/sha256/{}", oci::digest_hex(digest));
}

Result<std::vector<FoundImage>> docker_images(const Spool& spool) {
    const auto text = TRY(spool.read("manifest.json", oci::manifest_limit));
    std::vector<FoundImage> found;
    for (const auto& entry :
         TRY(parse_as<std::vector<ArchivedImage>>(text, "manifest.json of the archive"))) {
        FoundImage image{.config = TRY(spool.read(entry.config, oci::config_limit)),
                         .layers = entry.layers,
                         .references = {}};
        for (const auto& tag : entry.repo_tags)
            image.references.push_back(TRY(Reference::parse(tag)).with_default_tag());
        found.push_back(std::move(image));
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
        const auto reference = Reference::parse(found->second);
        if (whole && reference) return {reference->with_default_tag()};
    }
    return {};
}

Result<FoundImage> oci_image(const Spool& spool, oci::Descriptor entry) {
    FoundImage image{.references = references_of(entry)};
    for (int depth = 0; depth < 4; ++depth) {
        const auto text = TRY(read_blob(spool, entry, oci::manifest_limit));
        auto parsed = TRY(oci::parse_manifest(text, entry.media_type));
        if (const auto* index = std::get_if<oci::Index>(&parsed)) {
            entry = TRY(oci::choose_platform(*index, oci::host_platform()));
            continue;
        }
        const auto& manifest = std::get<oci::Manifest>(parsed);
        image.config = TRY(read_blob(spool, manifest.config, oci::config_limit));
        for (const auto& layer : manifest.layers) image.layers.push_back(blob_name(layer.digest));
        return image;
    }
    return fail(ErrorKind::invalid, "indexes in the archive are nested too deep");
}

Result<std::vector<FoundImage>> oci_images(const Spool& spool) {
    const auto text = TRY(spool.read("index.json", oci::manifest_limit));
    auto parsed = TRY(oci::parse_manifest(text, oci::media::oci_index));
    std::vector<FoundImage> found;
    for (const auto& entry : std::get<oci::Index>(parsed).manifests)
        found.push_back(TRY(oci_image(spool, entry)));
    return found;
}

class Loader {
public:
    Loader(storage::Store& store, const Spool& spool, const ProgressSink& progress,
           const LoadOptions& options)
        : store_(store), spool_(spool), progress_(progress), options_(options) {}

    Result<std::string> load(const FoundImage& found) {
        const auto document = TRY(oci::parse_image(found.config, found.layers.size()));
        auto lease = TRY(store_.images().lease("image being loaded"));
        std::string chain;
        for (std::size_t i = 0; i < found.layers.size(); ++i) {
            const auto& diff_id = document.rootfs.diff_ids[i];
            const std::string parent = std::exchange(chain, storage::chain_id(chain, diff_id));
            const bool present = TRY(store_.layers().find(chain)) && lease.add_layer(chain);
            if (present) continue;
            TRY(apply(found.layers[i], parent, diff_id, lease).context("layer " + found.layers[i]));
        }
        auto change = TRY(store_.db().begin());
        auto id = TRY(store_.images().put({.config = found.config, .chain_id = chain}));
        std::vector<std::string> lines;
        for (const auto& reference : found.references) TRY(tag(reference, id, lines));
        TRY(change.commit());
        if (lines.empty()) lines.push_back(fmt::format("Loaded image ID: {}\n", id));
        for (auto& line : lines) progress_({.stream = std::move(line)});
        return id;
    }

private:
    Result<void> apply(const std::string& name, const std::string& parent,
                       const std::string& diff_id, storage::Lease& lease) {
        const Fd file = TRY(spool_.open(name));
        const auto size = static_cast<std::int64_t>(TRY(spool_.size(name)));
        const std::string id(oci::short_digest(diff_id));
        if (!options_.quiet)
            progress_({.status = "Loading layer", .id = id, .current = 0, .total = size});
        storage::FdSource packed(file);
        const auto inflated = TRY(storage::Decompressor::create(packed));
        LimitedSource tar(*inflated, options_.most_unpacked_bytes);
        auto pending =
            TRY(store_.layers().unpack(tar, {.limits = {.bytes = options_.most_unpacked_bytes}}));
        TRY(store_.images().commit_layer(std::move(pending), parent, diff_id, lease));
        if (!options_.quiet)
            progress_({.status = "Loading layer", .id = id, .current = size, .total = size});
        return TRY(Records::open(store_.db())).set_tar_size(diff_id, tar.count());
    }

    Result<void> tag(const Reference& reference, const std::string& id,
                     std::vector<std::string>& lines) {
        const auto before = TRY(store_.images().tag(reference.canonical(), id));
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
    LimitedSource limited(*inflated, options.most_unpacked_bytes);
    const auto spool = TRY(Spool::unpack(store.root(), limited));
    const bool docker = spool.has("manifest.json");
    if (!docker && !spool.has("index.json"))
        return fail(ErrorKind::invalid,
                    "the archive holds no image: neither manifest.json nor index.json is in it");
    const auto images = TRY(docker ? docker_images(spool) : oci_images(spool));
    std::vector<std::string> ids;
    for (const auto& image : images)
        ids.push_back(TRY(Loader(store, spool, progress, options).load(image)));
    return ids;
}

}  // namespace corten::image
