// `store check`: what the database says against what the disk holds, and what can be mended of it.
#include <base/json.hpp>
#include <storage/store.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

namespace corten::storage {

namespace {

/// Whether something is wrong with what is read, and not just with the reading: too few
/// descriptors, no memory or a disk that does not answer say nothing about a layer.
bool is_damage(const Error& error) {
    constexpr std::array found_elsewhere{ENOTDIR, EISDIR, EUCLEAN, EBADMSG};
    return error.kind() == ErrorKind::corrupt || error.kind() == ErrorKind::not_found ||
           error.kind() == ErrorKind::invalid ||
           std::ranges::find(found_elsewhere, error.number()) != found_elsewhere.end();
}

/// What of an image's configuration (OCI image spec) says which layers it has.
struct LayerList {
    std::vector<std::string> diff_ids;
    static constexpr void fields(auto visit) { visit(field("diff_ids", &LayerList::diff_ids)); }
};
struct ImageLayers {
    LayerList rootfs;
    static constexpr void fields(auto visit) { visit(field("rootfs", &ImageLayers::rootfs)); }
};

/// Chain id of the layers that the configuration names.
Result<std::string> chain_of(const std::string& config) {
    std::string chain;
    for (const auto& diff_id : TRY(parse_as<ImageLayers>(config, "configuration")).rootfs.diff_ids)
        chain = chain_id(chain, diff_id);
    return chain;
}

class Check {
public:
    Check(Store& store, const CheckOptions& options) : store_(store), options_(options) {}

    Result<StoreReport> run() {
        for (std::string& finding : TRY(store_.db().check()))
            report_.add("database", std::move(finding));
        TRY(compare_directories());
        TRY(check_snapshots());
        TRY(check_layers());
        TRY(check_images());
        TRY(check_indexes());
        TRY(check_packed_layers());
        TRY(check_blobs());
        TRY(find_unused_layers());
        if (options_.repair) TRY(store_.sweep());
        return std::move(report_);
    }

private:
    /// Directories that nothing names. One that is being filled is named soon.
    Result<void> compare_directories() {
        const auto lock = TRY(store_.db().begin());
        const auto filling = store_.layers().being_unpacked();
        const auto named = TRY(store_.db().all<std::string>(
            "SELECT cache_id FROM layer UNION ALL SELECT cache_id FROM snapshot", {},
            [](const Row& row) { return row.text(0); }));
        std::set<std::string> known(named.begin(), named.end());
        known.insert(filling.begin(), filling.end());
        for (std::string& id : TRY(store_.driver().list())) {
            if (!known.contains(id)) {
                if (options_.repair) TRY(store_.driver().remove(id));
                report_.add("directory " + id, "nothing refers to it", options_.repair);
            }
            on_disk_.insert(std::move(id));
        }
        return {};
    }

    struct SnapshotRow {
        std::string key;
        std::string cache_id;
    };

    Result<void> check_snapshots() {
        const auto rows = TRY(store_.db().all<SnapshotRow>(
            "SELECT key, cache_id FROM snapshot", {},
            [](const Row& row) { return SnapshotRow{row.text(0), row.text(1)}; }));
        for (const auto& [key, cache_id] : rows) {
            ++report_.snapshots;
            if (on_disk_.contains(cache_id) || !TRY(store_.snapshots().exists(key))) continue;
            if (TRY(is_on_disk(cache_id))) continue;
            // What the container wrote is gone; with an empty one it can be started or removed.
            if (options_.repair) TRY(store_.driver().create_snapshot(cache_id));
            report_.add("snapshot " + key, "its directory is missing", options_.repair);
        }
        return {};
    }

    /// Now, for what was made after the directories were listed.
    Result<bool> is_on_disk(const std::string& cache_id) {
        const auto listed = TRY(store_.driver().list());
        return std::ranges::find(listed, cache_id) != listed.end();
    }

    Result<void> check_layers() {
        for (const Layer& layer : TRY(store_.layers().list())) {
            ++report_.layers;
            const auto fault = TRY(fault_of(layer));
            // One that was removed meanwhile is no fault.
            if (!fault || !TRY(store_.layers().find(layer.chain_id))) continue;
            const bool mended = options_.repair && fault->damaged &&
                                TRY(store_.images().drop_above(layer.chain_id));
            report_.add("layer " + layer.chain_id, fault->what, mended);
        }
        return {};
    }

    struct Fault {
        std::string what;
        bool damaged = true;  ///< false: it could not be read now
    };

    Result<std::optional<Fault>> fault_of(const Layer& layer) {
        std::optional<Fault> fault;
        if (chain_id(layer.parent, layer.diff_id) != layer.chain_id)
            fault.emplace("its name does not follow from its content and the layer below");
        else if (!on_disk_.contains(layer.cache_id) && !TRY(is_on_disk(layer.cache_id)))
            fault.emplace("its directory is missing");
        if (fault || !options_.digests) return fault;
        return content_fault(layer);
    }

    Result<std::optional<Fault>> content_fault(const Layer& layer) {
        std::uint64_t length = 0;
        FunctionSink counting([&](std::string_view bytes) -> Result<void> {
            length += bytes.size();
            return {};
        });
        const auto written = store_.layers().write_tar(layer.chain_id, counting);
        if (written) {
            TRY(check_length(layer, length));
        } else if (written.error().kind() != ErrorKind::unsupported) {
            const bool damaged = is_damage(written.error());
            return std::optional(Fault{
                (damaged ? "" : "it cannot be read now: ") + written.error().message(), damaged});
        }
        return std::optional<Fault>();
    }

    /// What `save` announces before it writes the layer.
    Result<void> check_length(const Layer& layer, std::uint64_t length) {
        if (!layer.tar_size || *layer.tar_size == length) return {};
        if (options_.repair) TRY(store_.layers().set_tar_size(layer.diff_id, length));
        report_.add("layer " + layer.chain_id,
                    fmt::format("its tar has {} bytes, not {}", length, *layer.tar_size),
                    options_.repair);
        return {};
    }

    Result<void> check_images() {
        for (const Image& image : TRY(store_.images().list())) {
            ++report_.images;
            std::string fault;
            if (sha256_digest(image.config) != image.id)
                fault = "its configuration does not have this digest";
            else if (!image.manifest.empty() &&
                     sha256_digest(image.manifest) != image.manifest_digest)
                fault = "its manifest does not have the digest " + image.manifest_digest;
            // What cannot be read as one has come so: its digest is right.
            else if (const auto chain = chain_of(image.config); chain && *chain != image.chain_id)
                fault = "its layers are not those that its configuration names";
            if (fault.empty()) continue;
            if (options_.repair) TRY(store_.images().drop(image.id));
            report_.add("image " + image.id, std::move(fault), options_.repair);
        }
        return {};
    }

    Result<void> check_indexes() {
        auto change = TRY(store_.db().begin());
        for (const ImageIndex& index : TRY(store_.indexes().list())) {
            std::string fault;
            if (sha256_digest(index.content) != index.digest)
                fault = "it does not have this digest";
            for (const IndexedImage& image : index.images)
                if (sha256_digest(image.manifest) != image.manifest_digest)
                    fault = "its manifest does not have the digest " + image.manifest_digest;
            if (fault.empty() && TRY(store_.indexes().references(index.digest)).empty())
                fault = "no name stands for it";
            if (fault.empty()) continue;
            if (options_.repair) TRY(store_.indexes().drop(index.digest));
            report_.add("index " + index.digest, std::move(fault), options_.repair);
        }
        return change.commit();
    }

    /// What is kept beside layers, against its layers and files.
    Result<void> check_packed_layers() {
        auto change = TRY(store_.db().begin());
        std::set<std::string> named;
        for (const PackedLayer& layer : TRY(store_.packed_layers().list())) {
            named.insert(layer.digest);
            if (store_.blobs().has(layer.digest)) {
                kept_blobs_.push_back(layer.digest);
                continue;
            }
            if (options_.repair) TRY(store_.packed_layers().forget(layer.digest));
            report_.add("blob " + layer.digest, "its file is missing", options_.repair);
        }
        for (const BlobInfo& blob : TRY(store_.blobs().list())) {
            ++report_.blobs;
            if (named.contains(blob.digest)) continue;
            if (options_.repair) TRY(store_.blobs().remove(blob.digest));
            report_.add("blob " + blob.digest, "no layer needs it", options_.repair);
        }
        return change.commit();
    }

    Result<void> check_blobs() {
        if (!options_.digests) return {};
        for (const std::string& digest : kept_blobs_) {
            const auto read = store_.blobs().verify(digest);
            if (read || read.error().kind() == ErrorKind::not_found) continue;
            const bool mended = options_.repair && is_damage(read.error());
            if (mended) {
                TRY(store_.packed_layers().forget(digest));
                TRY(store_.blobs().remove(digest));
            }
            report_.add("blob " + digest, read.error().message(), mended);
        }
        return {};
    }

    Result<void> find_unused_layers() {
        for (const std::string& id : TRY(store_.images().unused_layers()))
            report_.add("layer " + id, "no image, container or running pull needs it",
                        options_.repair);
        if (options_.repair) TRY(store_.images().collect_garbage());
        return {};
    }

    Store& store_;
    const CheckOptions& options_;
    StoreReport report_;
    std::set<std::string> on_disk_;
    std::vector<std::string> kept_blobs_;  // digests of those that are in their place
};

}  // namespace

Result<StoreReport> Store::check(const CheckOptions& options) {
    return Check(*this, options).run();
}

}  // namespace corten::storage
