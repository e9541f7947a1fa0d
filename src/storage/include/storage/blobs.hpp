#pragma once
// Content-addressed files: DATA/blobs/sha256/<hex>. A blob appears there by rename, whole and
// verified, or not at all. What is being written lies in DATA/ingest.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <storage/digest.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace corten::storage {

class BlobStore;

/// Writes one blob. Destroyed before commit() it removes what it wrote.
class BlobWriter final : public Sink {
public:
    BlobWriter(BlobWriter&&) noexcept;
    ~BlobWriter() override;

    Result<void> write(std::string_view bytes) override;
    std::uint64_t size() const { return size_; }
    std::string digest() const { return hash_.digest(); }
    /// Verifies and publishes; gives the digest. `corrupt` when the bytes are not the expected
    /// ones. A blob that exists already is fine.
    Result<std::string> commit(std::optional<std::string> expected_digest = {},
                               std::optional<std::uint64_t> expected_size = {});

private:
    friend class BlobStore;
    BlobWriter(const BlobStore& store, std::string path, Fd file);
    const BlobStore* store_;
    std::string path_;  ///< in DATA/ingest; empty once committed or moved from
    Fd file_;
    Sha256 hash_;
    std::uint64_t size_ = 0;
};

/// What has come so far of a blob that is being downloaded: kept on destruction, so that the next
/// try, of this daemon or of the one after a crash, goes on where this one stopped. Nothing is
/// verified here; whoever reads the whole compares the digest. Holds a lock: one per digest.
class PartialBlob {
public:
    PartialBlob(PartialBlob&&) noexcept;
    PartialBlob& operator=(PartialBlob&&) = delete;

    std::uint64_t size() const { return size_; }
    /// Bytes from `offset` on, at most until size(); 0 there.
    Result<std::size_t> read(std::uint64_t offset, std::span<char> buffer) const;
    Result<void> append(std::string_view bytes);
    /// Empties it and takes it away; append() is then an error.
    void discard();

private:
    friend class BlobStore;
    PartialBlob(std::string path, Fd file, std::uint64_t size)
        : path_(std::move(path)), file_(std::move(file)), size_(size) {}
    std::string path_;  ///< empty once discarded or moved from
    Fd file_;
    std::uint64_t size_ = 0;
};

struct BlobInfo {
    std::string digest;
    std::uint64_t size = 0;
};

/// Thread-safe: all state is in the file system.
class BlobStore {
public:
    /// Makes the directories and removes anonymous leftovers of a crash from DATA/ingest; partial
    /// downloads younger than a week are kept.
    static Result<BlobStore> open(const std::string& data_root);

    Result<BlobWriter> create() const;
    /// What an earlier try for `digest` left, or an empty one. `conflict` while another is open.
    Result<PartialBlob> partial(const std::string& digest) const;

    bool has(std::string_view digest) const;
    /// not_found when there is none. The content is not verified again.
    Result<Fd> open_blob(const std::string& digest) const;
    Result<std::uint64_t> size(const std::string& digest) const;
    /// The whole content, verified against the digest.
    Result<std::string> read(const std::string& digest, std::size_t limit = 64 << 20) const;
    /// Reads and hashes a blob of any size; `corrupt` when it is not what its digest says.
    Result<void> verify(const std::string& digest) const;
    Result<std::string> put(std::string_view bytes) const;
    /// Makes a download the blob that it was for. Its digest has been compared by who read it.
    Result<void> publish(PartialBlob download, const std::string& digest) const;
    /// A blob that is not there is fine.
    Result<void> remove(const std::string& digest) const;
    Result<std::vector<BlobInfo>> list() const;
    /// Removes every partial download that nobody has open; gives the bytes freed.
    Result<std::uint64_t> remove_partials() const;
    /// The same for one, which need not be there.
    Result<std::uint64_t> remove_partial(const std::string& digest) const;

private:
    friend class BlobWriter;
    explicit BlobStore(std::string data_root) : root_(std::move(data_root)) {}
    std::string blob_path(std::string_view digest) const;
    std::string root_;
};

}  // namespace corten::storage
