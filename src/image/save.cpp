#include "names.hpp"
#include "records.hpp"

#include <image/archive.hpp>
#include <oci/image_spec.hpp>
#include <storage/digest.hpp>
#include <storage/tar.hpp>

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

class CountingSink final : public storage::Sink {
public:
    Result<void> write(std::string_view bytes) override {
        count += bytes.size();
        return {};
    }
    std::uint64_t count = 0;
};

std::string blob_name(std::string_view digest) {
    return fmt::format("blobs/sha256/{}", oci::digest_hex(digest));
}

class Saver {
public:
    Saver(storage::Store& store, Records records, storage::Sink& out)
        : store_(store), records_(records), tar_(out) {}

    Result<void> run(const std::vector<NamedImage>& images) {
        TRY(directory("blobs/"));
        TRY(directory("blobs/sha256/"));
        for (const auto& image : images) TRY(add(image));
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

    Result<void> add(const NamedImage& named) {
        const auto image = TRY(store_.images().get(named.id));
        const auto document = TRY(oci::parse_image(image.config));
        oci::Manifest manifest{.media_type = std::string(oci::media::oci_manifest)};
        ArchivedImage archived{.config = blob_name(image.id), .repo_tags = {}, .layers = {}};
        std::string chain;
        for (const auto& diff_id : document.rootfs.diff_ids) {
            chain = storage::chain_id(chain, diff_id);
            const std::uint64_t size = TRY(add_layer(chain, diff_id));
            manifest.layers.push_back({.media_type = std::string(oci::media::oci_layer),
                                       .digest = diff_id,
                                       .size = static_cast<std::int64_t>(size)});
            archived.layers.push_back(blob_name(diff_id));
        }
        manifest.config = {.media_type = std::string(oci::media::oci_config),
                           .digest = image.id,
                           .size = static_cast<std::int64_t>(image.config.size())};
        TRY(blob(image.id, image.config));
        TRY(add_manifest(manifest, named, archived));
        archived_.push_back(std::move(archived));
        return {};
    }

    /// Gives the size of its tar.
    Result<std::uint64_t> add_layer(const std::string& chain, const std::string& diff_id) {
        auto size = TRY(records_.tar_size(diff_id));
        if (!size) {
            // Made before sizes were kept: written once for nothing, to be measured.
            CountingSink counter;
            TRY(store_.layers().write_tar(chain, counter));
            size = counter.count;
            TRY(records_.set_tar_size(diff_id, *size));
        }
        if (!written_.insert(diff_id).second) return *size;
        TRY(tar_.begin({.name = blob_name(diff_id), .mode = 0644, .size = *size}));
        storage::FunctionSink sink(
            [this](std::string_view bytes) { return tar_.write_data(bytes); });
        TRY(store_.layers().write_tar(chain, sink).context("layer " + diff_id));
        TRY(tar_.end());
        return *size;
    }

    Result<void> add_manifest(const oci::Manifest& manifest, const NamedImage& named,
                              ArchivedImage& archived) {
        const std::string text = dump_json(to_json(manifest));
        oci::Descriptor entry{.media_type = std::string(oci::media::oci_manifest),
                              .digest = storage::sha256_digest(text),
                              .size = static_cast<std::int64_t>(text.size())};
        TRY(blob(entry.digest, text));
        bool tagged = false;
        for (const auto& reference : named.references) {
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
        return {};
    }

    storage::Store& store_;
    Records records_;
    storage::TarWriter tar_;
    std::set<std::string> written_;
    oci::Index index_{.media_type = std::string(oci::media::oci_index)};
    std::vector<ArchivedImage> archived_;
    Repositories repositories_;
};

/// The same image under several names is one entry of the archive.
void merge(std::vector<NamedImage>& all, NamedImage named) {
    for (auto& known : all) {
        if (known.id != named.id) continue;
        for (auto& reference : named.references)
            if (std::ranges::find(known.references, reference) == known.references.end())
                known.references.push_back(std::move(reference));
        return;
    }
    all.push_back(std::move(named));
}

}  // namespace

Result<void> save(storage::Store& store, const std::vector<std::string>& names,
                  const ByteSink& sink) {
    std::vector<NamedImage> images;
    for (const auto& name : names)
        for (auto& found : TRY(find_images(store, name))) merge(images, std::move(found));
    storage::FunctionSink out(sink);
    return Saver(store, TRY(Records::open(store.db())), out).run(images);
}

}  // namespace corten::image
