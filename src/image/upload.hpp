#pragma once
// Blobs into a registry's repository (distribution spec, "Pushing blobs").
#include "session.hpp"

#include <storage/stream.hpp>

namespace corten::image {

struct UploadedBlob {
    std::string digest;
    std::int64_t size = 0;
};

/// Makes the bytes of a blob anew for each attempt.
using BlobMaker = std::function<Result<void>(storage::Sink& out)>;

class Uploader {
public:
    explicit Uploader(Session& session) : session_(session) {}

    Result<bool> has(const std::string& digest);
    /// Asks for the blob of another repository of the same registry. False: it has to be sent.
    Result<bool> mount(const std::string& digest, const std::string& from_path);
    /// For small blobs whose digest is known.
    Result<void> put(std::string_view bytes, const std::string& digest);
    /// Streams what `make` writes; the digest is known at the end only. Tried again after a failure
    /// on the way.
    Result<UploadedBlob> stream(const BlobMaker& make);

private:
    Result<http::Url> start(const std::string& query);
    Result<void> put_once(std::string_view bytes, const std::string& digest);
    /// Tries again what failed with an error that is worth it, with pauses that grow.
    template <typename T, typename Attempt, typename Worth>
    Result<T> repeated(const Attempt& once, const Worth& is_worth_it);
    Result<UploadedBlob> stream_once(const BlobMaker& make);
    Result<void> finish(http::Url location, const std::string& digest, std::string body);
    Error upload_error(Exchange& answer);

    Session& session_;
    std::optional<std::chrono::seconds> asked_wait_{};  ///< by the last refusal
};

}  // namespace corten::image
