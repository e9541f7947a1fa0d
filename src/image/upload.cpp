#include "upload.hpp"

#include <storage/digest.hpp>

#include <cstring>

namespace corten::image {

namespace {

Result<http::Url> location_of(const Exchange& answer) {
    const auto location = answer.headers().get("Location");
    if (!location) return fail(ErrorKind::unavailable, "the registry named no place to upload to");
    return http::resolve_url(answer.url(), *location);
}

constexpr auto lost_upload = ErrorKind::conflict;

/// Hands pieces of a Source out as an HTTP body takes them, and hashes them.
class HashedBody {
public:
    explicit HashedBody(storage::Source& source) : source_(source) {}

    Result<std::size_t> read(std::span<char> buffer) {
        if (rest_.empty()) {
            rest_ = TRY(source_.next());
            hash_.update(rest_);
            size_ += rest_.size();
        }
        const std::size_t n = std::min(rest_.size(), buffer.size());
        std::memcpy(buffer.data(), rest_.data(), n);
        rest_.remove_prefix(n);
        return n;
    }
    UploadedBlob blob() const { return {hash_.digest(), static_cast<std::int64_t>(size_)}; }

private:
    storage::Source& source_;
    std::string_view rest_;
    storage::Sha256 hash_;
    std::uint64_t size_ = 0;
};

}  // namespace

/// An upload that the registry does not know any more, or has more or less of than was sent, has to
/// begin again (distribution spec, "Pushing blobs"), and so has one for which the token has ended
/// on the way; other refusals are final.
Error Uploader::upload_error(Exchange& answer) {
    asked_wait_ = session_.transport().asked_wait(answer);
    const int status = answer.status();
    Error error = plain_error(read_refusal(answer));
    if (status != 404 && status != 416 && status != 401) return error;
    return std::move(error).with_kind(lost_upload).context("upload lost");
}

Result<bool> Uploader::has(const std::string& digest) {
    auto answer =
        TRY(session_.request({.method = "HEAD", .target = session_.path("blobs/" + digest)}));
    if (answer.status() == 404) return false;
    if (answer.status() >= 400) return plain_error(read_refusal(answer));
    return answer.status() == 200;
}

Result<http::Url> Uploader::start(const std::string& query) {
    auto answer = TRY(
        session_.request({.method = "POST", .target = session_.path("blobs/uploads/" + query)}));
    if (answer.status() != 202) return plain_error(read_refusal(answer));
    return location_of(answer);
}

Result<bool> Uploader::mount(const std::string& digest, const std::string& from_path) {
    http::Query query;
    query.add("mount", digest);
    query.add("from", from_path);
    auto answer = TRY(session_.request(
        {.method = "POST", .target = session_.path("blobs/uploads/?" + query.encode())}));
    if (answer.status() == 201) return true;
    // An upload was begun instead, or the other repository may not be read: both mean "send it".
    const auto location = location_of(answer);
    if (answer.status() != 202 || !location) return false;
    session_.request({.method = "DELETE", .target = http::to_string(*location)})
        .context("cancel upload")
        .ignore();
    return false;
}

Result<void> Uploader::finish(http::Url location, const std::string& digest, std::string body) {
    http::Query query;
    query.add("digest", digest);
    location.target += (location.target.contains('?') ? '&' : '?') + query.encode();
    Call call{.method = "PUT", .target = http::to_string(location), .body = std::move(body)};
    call.headers.set("Content-Type", "application/octet-stream");
    auto answer = TRY(session_.request(call));
    if (answer.status() / 100 != 2) return upload_error(answer);
    return {};
}

Result<void> Uploader::put_once(std::string_view bytes, const std::string& digest) {
    return finish(TRY(start("")), digest, std::string(bytes));
}

Result<void> Uploader::put(std::string_view bytes, const std::string& digest) {
    if (TRY(has(digest))) return {};
    // What fails on the way the session has tried again already.
    const auto is_lost = [](const Error& error) { return error.kind() == lost_upload; };
    return repeated<void>([&] { return put_once(bytes, digest); }, is_lost);
}

Result<UploadedBlob> Uploader::stream_once(const BlobMaker& make) {
    const http::Url begun = TRY(start(""));
    const auto source = storage::produce(make);
    HashedBody body(*source);
    Call call{.method = "PATCH", .target = http::to_string(begun)};
    call.headers.set("Content-Type", "application/octet-stream");
    call.producer = [&](std::span<char> buffer) -> Result<std::size_t> {
        if (session_.transport().cancelled()) return fail(ErrorKind::cancelled, "context canceled");
        return body.read(buffer);
    };
    auto answer = TRY(session_.request(call));
    if (answer.status() != 202) return upload_error(answer);
    const http::Url location = TRY(location_of(answer));
    UploadedBlob blob = body.blob();
    TRY(finish(location, blob.digest, ""));
    return blob;
}

Result<UploadedBlob> Uploader::stream(const BlobMaker& make) {
    const auto is_passing = [](const Error& error) {
        return error.kind() == lost_upload || error.kind() == ErrorKind::unavailable;
    };
    return repeated<UploadedBlob>([&] { return stream_once(make); }, is_passing);
}

template <typename T, typename Attempt, typename Worth>
Result<T> Uploader::repeated(const Attempt& once, const Worth& is_worth_it) {
    Transport& transport = session_.transport();
    const TransportOptions& options = transport.options();
    auto pause = options.first_pause;
    for (int attempt = 1;; ++attempt) {
        auto done = once();
        const auto wait = std::exchange(asked_wait_, {});
        const bool again = !done && is_worth_it(done.error()) && attempt < options.attempts;
        if (!again || wait > options.longest_wait) return done;
        TRY(transport.pause(wait ? std::chrono::milliseconds(*wait) : pause));
        pause *= 2;
    }
}

}  // namespace corten::image
