#include "blob_source.hpp"

namespace corten::image {

namespace {

constexpr std::size_t buffer_size = 256 << 10;
/// Bytes after which earlier failures are forgiven. A peer that sends a byte and hangs up, again
/// and again, does not get there.
constexpr std::uint64_t real_progress = 1 << 20;

/// Everything that can go wrong while bytes move is the network's fault until shown otherwise.
Error as_network_error(Error error) {
    if (error.kind() == ErrorKind::cancelled) return error;
    return std::move(error).with_kind(ErrorKind::unavailable);
}

}  // namespace

BlobSource::BlobSource(std::vector<Session*> sessions, oci::Descriptor blob, BlobEvents events,
                       storage::PartialBlob* partial)
    : sessions_(std::move(sessions)),
      blob_(std::move(blob)),
      events_(std::move(events)),
      partial_(partial),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_size)) {}

Result<void> BlobSource::check_answer(const Exchange& answer, bool partial) const {
    const auto size = static_cast<std::uint64_t>(blob_.size);
    const std::uint64_t wanted = partial ? size - received_ : size;
    if (answer.length() && *answer.length() != wanted)
        return fail(ErrorKind::corrupt,
                    "layer {}: wrong size: the registry announces {} bytes instead of {}",
                    blob_.digest, *answer.length(), wanted);
    const auto range = answer.headers().get_or("Content-Range", "");
    if (partial && !range.starts_with(fmt::format("bytes {}-", received_)))
        return fail(ErrorKind::corrupt, "layer {}: the registry sends another range, '{}'",
                    blob_.digest, range);
    return {};
}

Result<void> BlobSource::skip(std::uint64_t bytes) {
    while (bytes > 0) {
        auto got = exchange_->read({buffer_.get(), std::min<std::uint64_t>(bytes, buffer_size)});
        if (!got) return as_network_error(std::move(got).error());
        if (*got == 0) return fail(ErrorKind::unavailable, "unexpected EOF");
        bytes -= *got;
    }
    return {};
}

Result<void> BlobSource::open_from(Session& session) {
    exchange_.reset();
    auto answer = TRY(session.blob(blob_.digest, received_));
    const bool partial = answer.status() == 206;
    if (!partial && answer.status() != 200)
        return fail(ErrorKind::unavailable, "layer {}: unexpected HTTP status {}", blob_.digest,
                    answer.status_line());
    TRY(check_answer(answer, partial));
    exchange_.emplace(std::move(answer));
    return partial ? Result<void>() : skip(received_);
}

Result<void> BlobSource::open() {
    while (true) {
        auto opened = open_from(*sessions_.front());
        // A mirror may lack a blob whose manifest it has: ask the next one, and stay there.
        if (opened || sessions_.size() == 1 || opened.error().kind() == ErrorKind::cancelled)
            return opened;
        sessions_.erase(sessions_.begin());
    }
}

/// Counts the failure; an error when it is not worth another try.
Result<void> BlobSource::recover(Error error) {
    exchange_.reset();
    if (error.kind() != ErrorKind::unavailable) return error;
    if (received_ - last_failure_at_ >= real_progress) failures_ = 0;
    last_failure_at_ = received_;
    Transport& transport = sessions_.front()->transport();
    if (++failures_ >= transport.options().attempts)
        return std::move(error)
            .context(fmt::format("layer {}: gave up after {} of {} bytes", blob_.digest, received_,
                                 blob_.size))
            .with_kind(ErrorKind::unavailable);
    return transport.pause(transport.options().first_pause * (1 << std::min(failures_ - 1, 5)));
}

Result<std::size_t> BlobSource::read_some() {
    if (!exchange_) TRY(open());
    auto got = exchange_->read({buffer_.get(), buffer_size});
    if (!got) return as_network_error(std::move(got).error());
    const auto size = static_cast<std::uint64_t>(blob_.size);
    if (received_ + *got > size)
        return fail(ErrorKind::corrupt, "layer {}: the registry sends more than {} bytes",
                    blob_.digest, size);
    if (*got == 0 && received_ < size) return fail(ErrorKind::unavailable, "unexpected EOF");
    return got;
}

Result<std::string_view> BlobSource::finish() {
    done_ = true;
    exchange_.reset();
    if (hash_.digest() != blob_.digest)
        return fail(ErrorKind::corrupt, "filesystem layer verification failed for digest {}",
                    blob_.digest);
    if (events_.complete) events_.complete();
    return std::string_view();
}

/// What an earlier try has brought; 0 when there is no more of it.
Result<std::size_t> BlobSource::read_kept() {
    if (!partial_ || received_ >= partial_->size()) return std::size_t{0};
    if (partial_->size() > static_cast<std::uint64_t>(blob_.size))
        return fail(ErrorKind::corrupt, "layer {}: more than {} bytes were kept", blob_.digest,
                    blob_.size);
    return partial_->read(received_, {buffer_.get(), buffer_size});
}

std::string_view BlobSource::accept(std::size_t size) {
    const std::string_view bytes(buffer_.get(), size);
    hash_.update(bytes);
    received_ += size;
    if (events_.received) events_.received(received_);
    // To keep it is an aid only: a disk that is full may still have room for the layer itself.
    if (partial_ && received_ > partial_->size() && !partial_->append(bytes)) {
        partial_->discard();
        partial_ = nullptr;
    }
    return bytes;
}

Result<std::string_view> BlobSource::next() {
    if (done_) return std::string_view();
    while (true) {
        if (received_ == static_cast<std::uint64_t>(blob_.size) && received_ > 0) return finish();
        if (const auto kept = TRY(read_kept())) return accept(kept);
        auto got = read_some();
        if (!got) {
            TRY(recover(std::move(got).error()));
            continue;
        }
        if (*got == 0) return finish();
        return accept(*got);
    }
}

}  // namespace corten::image
