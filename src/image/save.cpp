#include "names.hpp"

#include <image/archive.hpp>
#include <image/platforms.hpp>
#include <oci/image_spec.hpp>
#include <storage/digest.hpp>
#include <storage/tar.hpp>

#include <algorithm>
#include <set>

namespace corten::image {

namespace {

/// An element of manifest.json.
struct ArchivedImage {
    std::string config;
    std::vector<std::string> repo_tags;
    std::vector<std::string> layers;
    static constexpr void fields(auto visit) {
        visit(field("Config", &ArchivedImage::config), field("RepoTags", &ArchivedImage::repo_tags),
              field("Layers", &ArchivedImage::layers));
    }
};

using Repositories = std::map<std::string, std::map<std::string, std::string>>;

std::string blob_name(std::string_view digest) {
    return fmt::format("blobs/sha256/{}", oci::digest_hex(digest));
}

/// A name and the images that are written for it, at least one; the one that is meant when no
/// platform is said, if it is among them, comes first.
struct SavedName {
    NamedImage named;
    std::vector<storage::Image> images;
};

class Saver {
public:
    Saver(storage::Store& store, storage::Sink& out) : store_(store), tar_(out) {}

    Result<void> run(const std::vector<SavedName>& names) {
        TRY(directory("blobs/"));
        TRY(directory("blobs/sha256/"));
        for (const auto& name : names) TRY(add(name));
        TRY(file("index.json", dump_json(to_json(index_))));
        TRY(file("manifest.json", dump_json(to_json(archived_))));
        TRY(file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
        if (!repositories_.empty()) TRY(file("repositories", dump_json(to_json(repositories_))));
        return tar_.finish();
    }

private:
    Result<void> directory(const std::string& name) {
        TRY(tar_.begin({.type = storage::EntryType::directory, .name = name, .mode = 0755}));
        return tar_.end();
    }
    Result<void> file(const std::string& name, std::string_view content) {
        TRY(tar_.begin({.name = name, .mode = 0644, .size = content.size()}));
        TRY(tar_.write_data(content));
        return tar_.end();
    }
    Result<void> blob(std::string_view digest, std::string_view content) {
        if (!written_.insert(std::string(digest)).second) return {};
        return file(blob_name(digest), content);
    }

    Result<void> add(const SavedName& saved) {
        std::vector<oci::Descriptor> manifests;
        manifests.reserve(saved.images.size());
        for (const auto& image : saved.images) manifests.push_back(TRY(add_image(image)));
        // Readers of docker's list know one platform only.
        auto archived = TRY(archived_image(saved.images.front()));
        name(manifests.size() == 1 ? plain(manifests.front()) : TRY(add_index(manifests)),
             saved.named.references, archived);
        archived_.push_back(std::move(archived));
        return {};
    }

    /// Writes layers, configuration and manifest; gives the manifest's descriptor.
    Result<oci::Descriptor> add_image(const storage::Image& image) {
        const auto document = TRY(oci::parse_image(image.config));
        oci::Manifest manifest{.media_type = std::string(oci::media::oci_manifest)};
        std::string chain;
        for (const auto& diff_id : document.rootfs.diff_ids) {
            chain = storage::chain_id(chain, diff_id);
            const std::uint64_t size = TRY(add_layer(chain, diff_id));
            manifest.layers.push_back({.media_type = std::string(oci::media::oci_layer),
                                       .digest = diff_id,
                                       .size = static_cast<std::int64_t>(size)});
        }
        manifest.config = {.media_type = std::string(oci::media::oci_config),
                           .digest = image.id,
                           .size = static_cast<std::int64_t>(image.config.size())};
        TRY(blob(image.id, image.config));
        auto descriptor = TRY(document_blob(oci::media::oci_manifest, to_json(manifest)));
        descriptor.platform = platform_of(document);
        return descriptor;
    }

    Result<oci::Descriptor> add_index(const std::vector<oci::Descriptor>& manifests) {
        return document_blob(oci::media::oci_index,
                             to_json(oci::Index{.media_type = std::string(oci::media::oci_index),
                                                .manifests = manifests}));
    }

    Result<oci::Descriptor> document_blob(std::string_view media_type, const Json& document) {
        const std::string text = dump_json(document);
        oci::Descriptor descriptor{.media_type = std::string(media_type),
                                   .digest = storage::sha256_digest(text),
                                   .size = static_cast<std::int64_t>(text.size())};
        TRY(blob(descriptor.digest, text));
        return descriptor;
    }

    /// An image by itself tells its platform in its configuration alone.
    static oci::Descriptor plain(oci::Descriptor manifest) {
        manifest.platform.reset();
        return manifest;
    }

    static Result<ArchivedImage> archived_image(const storage::Image& image) {
        ArchivedImage archived{.config = blob_name(image.id), .repo_tags = {}, .layers = {}};
        for (const auto& diff_id : TRY(oci::parse_image(image.config)).rootfs.diff_ids)
            archived.layers.push_back(blob_name(diff_id));
        return archived;
    }

    /// Gives the size of its tar.
    Result<std::uint64_t> add_layer(const std::string& chain, const std::string& diff_id) {
        const auto size = TRY(store_.layers().tar_size(chain));
        if (!written_.insert(diff_id).second) return size;
        TRY(tar_.begin({.name = blob_name(diff_id), .mode = 0644, .size = size}));
        storage::FunctionSink sink(
            [this](std::string_view bytes) { return tar_.write_data(bytes); });
        TRY(store_.layers().write_tar(chain, sink).context("layer " + diff_id));
        TRY(tar_.end());
        return size;
    }

    void name(oci::Descriptor entry, const std::vector<Reference>& references,
              ArchivedImage& archived) {
        bool tagged = false;
        for (const auto& reference : references) {
            if (reference.tag.empty()) continue;
            tagged = true;
            archived.repo_tags.push_back(reference.familiar());
            repositories_[reference.familiar_name()][reference.tag] =
                archived.layers.empty() ? "" : archived.layers.back().substr(13);
            entry.annotations = {{"io.containerd.image.name", reference.canonical()},
                                 {"org.opencontainers.image.ref.name", reference.tag}};
            index_.manifests.push_back(entry);
        }
        if (!tagged) index_.manifests.push_back(entry);
    }

    storage::Store& store_;
    storage::TarWriter tar_;
    std::set<std::string> written_;
    oci::Index index_{.media_type = std::string(oci::media::oci_index)};
    std::vector<ArchivedImage> archived_;
    Repositories repositories_;
};

/// Those of a name's images that are to be saved.
Result<SavedName> choose_images(storage::Store& store, NamedImage named,
                                const std::vector<oci::Platform>& platforms) {
    SavedName saved{.named = std::move(named), .images = {}};
    for (auto& image : TRY(platform_images(store, found_of(saved.named)))) {
        const auto has = TRY(platform_of(image));
        if (platforms.empty() ||
            std::ranges::any_of(platforms, [&](const auto& p) { return provides(has, p); }))
            saved.images.push_back(std::move(image));
    }
    if (saved.images.empty())
        return fail(ErrorKind::not_found, "no suitable export target found for platform {}",
                    oci::to_string(platforms.front()));
    return saved;
}

Result<std::vector<SavedName>> hold_images(storage::Store& store,
                                           const std::vector<std::string>& names,
                                           const std::vector<oci::Platform>& platforms,
                                           storage::Lease& lease) {
    auto change = TRY(store.db().begin());
    std::vector<NamedImage> images;
    for (const auto& name : names)
        for (auto& found : TRY(find_images(store, name))) merge(images, std::move(found));
    std::vector<SavedName> saved;
    saved.reserve(images.size());
    for (auto& named : images) {
        saved.push_back(TRY(choose_images(store, std::move(named), platforms)));
        for (const auto& image : saved.back().images) TRY(lease.add_layer(image.chain_id));
    }
    TRY(change.commit());
    return saved;
}

}  // namespace

Result<void> save(storage::Store& store, const std::vector<std::string>& names,
                  const std::vector<oci::Platform>& platforms, const ByteSink& sink) {
    // Whoever removes an image meanwhile takes its names, but not its layers.
    auto lease = TRY(store.images().lease("images being saved"));
    const auto saved = TRY(hold_images(store, names, platforms, lease));
    storage::FunctionSink out(sink);
    return Saver(store, out).run(saved);
}

}  // namespace corten::image
