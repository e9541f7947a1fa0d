#pragma once
// Read-only layers. A layer is one filesystem change set; its chain id names it together with
// everything below (OCI image spec). Layers of an image are unpacked in any order and in parallel
// (unpack), and then committed from the lowest up (commit).
#include <base/clock.hpp>
#include <base/result.hpp>
#include <base/sync.hpp>
#include <storage/archive.hpp>
#include <storage/database.hpp>
#include <storage/driver.hpp>
#include <storage/stream.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace corten::storage {

struct Layer {
    std::string chain_id;
    std::string diff_id;     ///< digest of the uncompressed tar
    std::string parent;      ///< chain id below, "" for the lowest
    std::string cache_id;    ///< name of its directory in the driver's root
    std::uint64_t size = 0;  ///< bytes of its regular files
    /// Length of the tar; not known of layers from before it was kept.
    std::optional<std::uint64_t> tar_size{};
    WallTime created{};
};

class LayerStore;

/// An unpacked layer that has no place in a chain yet. Its directory is removed on destruction,
/// unless LayerStore::commit() took it; a crash leaves it to the next Store::open().
class PendingLayer {
public:
    PendingLayer(PendingLayer&& other) noexcept;
    PendingLayer& operator=(PendingLayer&&) = delete;
    ~PendingLayer();
    const std::string& diff_id() const { return diff_id_; }
    std::uint64_t size() const { return size_; }

private:
    friend class LayerStore;
    PendingLayer(LayerStore& store, std::string cache_id);
    LayerStore* store_;  // null once committed or moved from
    std::string cache_id_;
    std::string diff_id_;
    std::uint64_t size_ = 0;
    std::uint64_t tar_size_ = 0;
};

struct UnpackOptions {
    UnpackLimits limits;
    /// What re-creates the exact tar for push and save; costs about 30 bytes a file.
    bool record = true;
};

class LayerStore {
public:
    LayerStore(Database& db, Driver& driver) : db_(db), driver_(driver) {}

    /// Unpacks an uncompressed tar stream into a directory of its own. Pulling `tar` and hashing it
    /// run in threads of their own beside the file creation; at most 2 MiB are buffered. No layer
    /// below is needed. Thread-safe.
    Result<PendingLayer> unpack(Source& tar, const UnpackOptions& options = {});

    /// Gives the layer its place over `parent` (a chain id in the store, or ""). `corrupt` when its
    /// diff id is not the expected one ("" skips the check). A layer that is there already wins and
    /// the pending one is dropped. Protect the result by a lease before garbage is collected.
    Result<Layer> commit(PendingLayer pending, const std::string& parent,
                         const std::string& expected_diff_id);

    Result<std::optional<Layer>> find(const std::string& chain_id);
    /// not_found when there is none.
    Result<Layer> get(const std::string& chain_id);
    /// From `chain_id` down to the lowest.
    Result<std::vector<Layer>> chain(const std::string& chain_id);
    Result<std::vector<Layer>> list();

    /// Directories of layers that have no place yet: nothing in the database names them.
    std::set<std::string> being_unpacked() const;

    /// The layer's tar, byte for byte as it was applied; the digest is verified at the end
    /// (`corrupt`). `unsupported` when it was unpacked without a record.
    Result<void> write_tar(const std::string& chain_id, Sink& out);
    /// How many bytes that gives. One whose length is not known is written once for nothing.
    Result<std::uint64_t> tar_size(const std::string& chain_id);
    /// Of every layer with that content.
    Result<void> set_tar_size(const std::string& diff_id, std::uint64_t size);

private:
    friend class PendingLayer;
    Database& db_;
    Driver& driver_;
    mutable Sync<std::set<std::string>> pending_;
};

}  // namespace corten::storage
