#pragma once
// A registry's blob as a stream of bytes that survives a bad network: it is hashed while it comes,
// and after a reset, a stall or an early end it goes on by range from where it stopped.
#include "session.hpp"

#include <storage/blobs.hpp>
#include <storage/digest.hpp>
#include <storage/stream.hpp>

namespace corten::image {

struct BlobEvents {
    std::function<void(std::uint64_t received)> received;
    std::function<void()> complete;  ///< all bytes are here and the digest is right
};

class BlobSource final : public storage::Source {
public:
    /// `sessions` are asked in order; all must outlive this, and so must `partial`, if there is
    /// one. Memory: one buffer of 256 KiB.
    BlobSource(std::vector<Session*> sessions, oci::Descriptor blob, BlobEvents events,
               storage::PartialBlob* partial = nullptr);

    /// Size and digest are verified before the end is given; `corrupt` when they are wrong.
    Result<std::string_view> next() override;

private:
    Result<void> open();
    Result<void> open_from(Session& session);
    Result<void> check_answer(const Exchange& answer, bool partial) const;
    Result<void> skip(std::uint64_t bytes);
    Result<std::size_t> read_kept();
    Result<std::size_t> read_some();
    std::string_view accept(std::size_t size);
    Result<void> recover(Error error);
    Result<std::string_view> finish();

    std::vector<Session*> sessions_;
    const oci::Descriptor blob_;
    BlobEvents events_;
    storage::PartialBlob* partial_;  ///< nullptr once it cannot be written
    std::optional<Exchange> exchange_;
    storage::Sha256 hash_;
    std::unique_ptr<char[]> buffer_;
    std::uint64_t received_ = 0;
    int failures_ = 0;  ///< since there was progress worth the name
    std::uint64_t last_failure_at_ = 0;
    bool done_ = false;
};

}  // namespace corten::image
