#pragma once
// A registry's blob as a stream of bytes that survives a bad network: it is hashed while it comes,
// and after a reset, a stall or an early end it goes on by range from where it stopped. A large
// one that comes slowly is fetched by several connections (blob_chunks.hpp).
#include "blob_chunks.hpp"

#include <storage/blobs.hpp>
#include <storage/digest.hpp>
#include <storage/stream.hpp>

namespace corten::image {

struct BlobOptions {
    std::function<void(std::uint64_t received)> received;
    std::function<void()> complete;  ///< all bytes are here and the digest is right
    storage::PartialBlob* partial = nullptr;
    /// Chunks that all blobs together may have in memory; nullptr: one connection has to do.
    Slots* chunks = nullptr;
    SeveralConnections several;
};

/// How fast bytes come over one connection, and how much of the time their reader waits for them.
class Pace {
public:
    using Clock = std::chrono::steady_clock;
    void restart() { *this = Pace(); }
    void add(std::uint64_t bytes, Clock::duration waited) {
        bytes_ += bytes;
        waited_ += waited;
    }
    Clock::duration elapsed() const { return Clock::now() - since_; }
    double bytes_per_second() const { return static_cast<double>(bytes_) / seconds(elapsed()); }
    double share_waited() const { return seconds(waited_) / seconds(elapsed()); }

private:
    static double seconds(Clock::duration time) {
        return std::max(std::chrono::duration<double>(time).count(), 1e-9);
    }
    Clock::time_point since_ = Clock::now();
    Clock::duration waited_{};
    std::uint64_t bytes_ = 0;
};

class BlobSource final : public storage::Source {
public:
    /// `sessions` are asked in order; all must outlive this, and so must what `options` borrow.
    /// Memory: one buffer of 256 KiB, one chunk, and one for each slot of `options.chunks`.
    BlobSource(std::vector<Session*> sessions, oci::Descriptor blob, BlobOptions options);

    /// Size and digest are verified before the end is given; `corrupt` when they are wrong.
    Result<std::string_view> next() override;

private:
    Result<void> open();
    Result<void> open_from(Session& session);
    Result<void> check_answer(const Exchange& answer, bool partial) const;
    Result<void> skip(std::uint64_t bytes);
    Result<std::size_t> read_kept();
    Result<std::size_t> read_some();
    std::string_view read_chunks();
    std::string_view accept(std::string_view bytes);
    std::size_t room() const;
    bool is_worth_several() const;
    void consider_several();
    void judge_several();
    Result<void> recover(Error error);
    Result<std::string_view> finish();

    std::uint64_t size() const { return static_cast<std::uint64_t>(blob_.size); }

    Mirrors mirrors_;
    const oci::Descriptor blob_;
    const BlobOptions options_;
    storage::PartialBlob* partial_;  ///< nullptr once it cannot be written
    std::optional<Exchange> exchange_;
    storage::Sha256 hash_;
    std::unique_ptr<char[]> buffer_;
    std::uint64_t received_ = 0;
    Retries retries_;
    bool done_ = false;

    Pace pace_;                           ///< of the one connection, in the last second
    std::unique_ptr<BlobChunks> chunks_;  ///< once there were several connections
    enum { one, joined, several, one_again } phase_ = one;
    std::optional<double> pace_of_one_;  ///< bytes per second, to be compared once
};

}  // namespace corten::image
