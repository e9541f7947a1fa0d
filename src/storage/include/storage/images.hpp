#pragma once
// Image records: configs, references, digests, and what keeps layers alive. References are
// canonical strings here ("docker.io/library/debian:12", "…@sha256:…"); parsing them is src/image.
#include <base/clock.hpp>
#include <base/result.hpp>
#include <storage/blobs.hpp>
#include <storage/database.hpp>
#include <storage/layers.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace corten::storage {

/// What is stored for an image. Its id is the digest of its config.
struct Image {
    std::string id;               ///< "sha256:…"
    std::string config;           ///< JSON, byte for byte
    std::string manifest;         ///< JSON as the registry or archive had it, "" when built here
    std::string manifest_digest;  ///< "" when built here
    std::string manifest_media_type;
    std::string parent;                ///< image id it was built or committed from, "" otherwise
    std::string chain_id;              ///< topmost layer, "" for an image without layers
    std::vector<std::string> tags;     ///< canonical, sorted
    std::vector<std::string> digests;  ///< canonical "name@sha256:…", sorted
    std::vector<std::string> indexes;  ///< digests of the indexes that these names stand for
    bool in_index = false;             ///< an index has it: a name of another platform's holds it
    std::uint64_t size = 0;            ///< sum of its layers' sizes
    WallTime created{};                ///< when it was stored here (not the config's "created")
    WallTime last_tagged{};            ///< epoch when never
    WallTime last_used{};              ///< see ImageStore::note_use(); epoch when never
};

struct NewImage {
    std::string config;
    std::string manifest;
    std::string manifest_digest;
    std::string manifest_media_type;
    std::string parent;
    std::string chain_id;  ///< must be in the layer store
};

/// One line of docker's reply to DELETE /images/{name}.
struct RemovedItem {
    bool untagged = false;  ///< else deleted
    std::string what;       ///< reference, image id or chain id
    bool operator==(const RemovedItem&) const = default;
};

/// A container that was made from an image.
struct ImageUser {
    std::string container_id;
    bool running = false;
};

struct RemoveImageOptions {
    bool force = false;
    bool prune_parents = true;
    /// Of a name that stands for an index only these of its images, for all names of that index.
    std::vector<std::string> only{};
    /// Containers that use an image; asked inside the transaction.
    std::function<std::vector<ImageUser>(const std::string& image_id)> users;
};

/// How a user named an image.
struct ImageName {
    /// Canonical reference with tag or digest; "" when it can only be an id.
    std::string reference;
    /// An id with or without "sha256:", or a unique prefix of at least one digit; "" if it is none.
    std::string id_prefix;
    std::string display;  ///< what the user typed, for messages
};

struct FoundImage {
    std::string id;
    bool by_reference = false;  ///< found by `reference`, not by id
    std::string index;          ///< digest of the index the reference stands for, "" for none
};

/// Keeps blobs and layers that no image names yet from being collected, in a database row: a pull
/// holds one. Destroyed, it is dropped; a crash leaves the row, and what it held is kept for a day,
/// so that a repeated pull finds the layers that were done.
class Lease {
public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    /// Holds a layer that is in the store already; an error when it is not (any more).
    Result<void> add_layer(const std::string& chain_id);
    /// Keeps what it holds for that long after destruction: a failed pull will be repeated.
    Result<void> keep_for(std::chrono::seconds duration);

private:
    friend class ImageStore;
    Lease(Database& db, std::int64_t id) : db_(&db), id_(id) {}
    Database* db_;
    std::int64_t id_;
};

struct ImageUsage {
    std::string id;
    std::uint64_t size = 0;
    std::uint64_t shared = 0;  ///< bytes of layers that other images have too
};

class ImageStore {
public:
    ImageStore(Database& db, Driver& driver, LayerStore& layers)
        : db_(db), driver_(driver), layers_(layers) {}

    /// Stores or updates (an image that exists keeps its references); gives the id. Protects the
    /// layers from then on.
    Result<std::string> put(const NewImage& image);
    Result<Image> get(const std::string& id);
    /// By reference first, then by id, then by unique id prefix, as docker looks names up.
    /// not_found "No such image: …"; `invalid` for an ambiguous prefix.
    Result<FoundImage> resolve(const ImageName& name);
    Result<std::vector<Image>> list();
    Result<std::size_t> count();
    /// Images whose parent is `id`.
    Result<std::vector<std::string>> children(const std::string& id);

    /// Points a tag or a digest reference ("name@sha256:…") at an image, taking it from another.
    /// Gives the id of the image that had it before, "" if none. With `index`, a digest, it stands
    /// for that index, and `id` is the one of its images that is meant when no platform is said.
    Result<std::string> tag(const std::string& reference, const std::string& id,
                            const std::string& index = {});
    Result<std::optional<std::string>> image_of(const std::string& reference);
    /// A container was made from it, now. An image that is gone is fine.
    Result<void> note_use(const std::string& id);

    /// docker's rules for `rmi`, with its messages: untag only while other references remain;
    /// delete with layers and untagged parents otherwise; `conflict` for images in use or with
    /// children. The images of other platforms go with the last name of their index, and its names
    /// with the last of its images. All in one transaction.
    Result<std::vector<RemovedItem>> remove(const ImageName& name,
                                            const RemoveImageOptions& options);

    /// An image and its names, whoever uses it: its record is not what it should be.
    Result<void> drop(const std::string& id);
    /// The images that stand on a layer which is not what it should be, and then every layer that
    /// nothing needs any more, so that the next pull brings them. False, and nothing is removed,
    /// when a container stands on it.
    Result<bool> drop_above(const std::string& chain_id);

    /// Shared and own sizes of all images, for `system df`.
    Result<std::vector<ImageUsage>> usage();
    /// Bytes of all layers, each once, and of the blobs that are kept beside them.
    Result<std::uint64_t> layers_size();

    Result<Lease> lease(const std::string& what);
    /// LayerStore::commit(), and held by the lease from the same moment.
    Result<Layer> commit_layer(PendingLayer pending, const std::string& parent,
                               const std::string& expected_diff_id, Lease& lease);

    struct Garbage {
        std::vector<std::string> layers;  ///< chain ids, topmost first
        std::uint64_t bytes = 0;
    };
    /// Ends what failed pulls have kept for their next try.
    Result<void> end_kept_leases();
    /// Removes layers that no image, snapshot, layer or lease names.
    Result<Garbage> collect_garbage();
    /// What collect_garbage() would remove, chain ids.
    Result<std::vector<std::string>> unused_layers();
    /// Gives leases that a crash left behind an end. For Store::open(), before there are new ones.
    Result<void> end_leases_of_last_run();

private:
    struct Removal;
    Database& db_;
    Driver& driver_;
    LayerStore& layers_;
};

}  // namespace corten::storage
