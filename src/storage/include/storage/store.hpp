#pragma once
// Everything under one data root, mode 0700:
//   corten.db          metadata of all modules
//   blobs/sha256/      content-addressed blobs: layers as they came, if they are kept
//   ingest/            blobs being written
//   overlay/ or erofs/ layers and snapshots, and trash/, of the driver of that name
//   reserve            a MiB that is given up so that things can be removed from a full disk
//   lock               held while the store is open: one daemon per data root
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/blobs.hpp>
#include <storage/database.hpp>
#include <storage/driver.hpp>
#include <storage/images.hpp>
#include <storage/indexes.hpp>
#include <storage/layers.hpp>
#include <storage/packed_layers.hpp>
#include <storage/snapshots.hpp>

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace corten::storage {

struct StoreOptions {
    /// "overlay", "erofs", or "": that which the data root has layers of, else overlay. Layers of
    /// one driver are of no use to another, so a data root has one.
    std::string driver;
    /// See PackedLayers; without it, what an earlier run has kept goes.
    bool keep_blobs = false;
};

struct StoreProblem {
    std::string what;   ///< "layer sha256:…"
    std::string found;  ///< a sentence
    bool mended = false;
};

struct StoreReport {
    std::vector<StoreProblem> problems;
    std::uint64_t layers = 0;
    std::uint64_t images = 0;
    std::uint64_t snapshots = 0;
    std::uint64_t blobs = 0;

    void add(std::string what, std::string found, bool mended = false) {
        problems.push_back({std::move(what), std::move(found), mended});
    }
};

struct CheckOptions {
    bool digests = true;  ///< re-create each layer's tar and read each blob
    bool repair = false;
};

class Store {
public:
    /// Opens or creates, and finishes what a crash left half done: directories and blobs without a
    /// row are removed, removals are completed, old leases get an end. `conflict` when another
    /// process has it open, or when it has layers or snapshots of another driver.
    static Result<std::unique_ptr<Store>> open(const std::string& data_root,
                                               const StoreOptions& options = {});

    const std::string& root() const { return root_; }
    Database& db() { return *db_; }
    BlobStore& blobs() { return blobs_; }
    Driver& driver() { return *driver_; }
    LayerStore& layers() { return layers_; }
    SnapshotStore& snapshots() { return snapshots_; }
    ImageStore& images() { return images_; }
    IndexStore& indexes() { return indexes_; }
    PackedLayers& packed_layers() { return packed_layers_; }

    /// Deletes what removals put aside. The daemon calls it in a background thread after removals.
    /// cancelled, with the rest left to the next sweep, once it is to stop.
    Result<std::size_t> sweep(const std::stop_token& stop = {});
    /// Layers that nothing needs (the leases of failed pulls run out), and sweep().
    Result<void> collect_garbage(const std::stop_token& stop = {});

    /// Even a removal writes to the database first. `operation`, and when the disk is full, once
    /// more with the reserve given up and everything swept afterwards.
    template <typename Operation>
    auto with_reserve(Operation operation) {
        auto outcome = operation();
        if (outcome || outcome.error().kind() != ErrorKind::no_space || !release_reserve())
            return outcome;
        outcome = operation();
        if (outcome) sweep().ignore();  // the next sweep tries again
        return outcome;
    }

    /// `store check`: database integrity, every digest, every reference, and what nothing refers
    /// to. Others may work on the store meanwhile. With `repair` removes what is not needed and
    /// what cannot be used; a broken layer takes the images with it, so that they can be pulled
    /// again, unless a container stands on them. See check.cpp.
    Result<StoreReport> check(const CheckOptions& options);

private:
    Store(std::string root, Fd lock, std::unique_ptr<Database> db, BlobStore blobs,
          std::unique_ptr<Driver> driver);
    Result<void> recover(const StoreOptions& options);
    std::string reserve_path() const { return root_ + "/reserve"; }
    void keep_reserve();
    bool release_reserve();
    std::string root_;
    Fd lock_;
    std::unique_ptr<Database> db_;
    BlobStore blobs_;
    std::unique_ptr<Driver> driver_;
    LayerStore layers_;
    SnapshotStore snapshots_;
    ImageStore images_;
    IndexStore indexes_;
    PackedLayers packed_layers_;
};

}  // namespace corten::storage
