#include "blob_source.hpp"

namespace corten::image {

namespace {

constexpr std::size_t buffer_size = 256 << 10;
/// Several connections that are not that many times as fast as one are not worth it.
constexpr double worthwhile = 1.3;

/// Everything that can go wrong while bytes move is the network's fault until shown otherwise.
Error as_network_error(Error error) {
    if (error.kind() == ErrorKind::cancelled) return error;
    return std::move(error).with_kind(ErrorKind::unavailable);
}

}  // namespace

BlobSource::BlobSource(std::vector<Session*> sessions, oci::Descriptor blob, BlobOptions options)
    : mirrors_(std::move(sessions)),
      blob_(std::move(blob)),
      options_(std::move(options)),
      partial_(options_.partial),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_size)) {}

// --- one connection

Result<void> BlobSource::check_answer(const Exchange& answer, bool partial) const {
    const std::uint64_t wanted = partial ? size() - received_ : size();
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
        Session& session = mirrors_.current();
        auto opened = open_from(session);
        pace_.restart();
        // A mirror may lack a blob whose manifest it has: ask the next one, and stay there.
        if (opened || !mirrors_.pass_over(session, opened.error())) return opened;
    }
}

/// Counts the failure; an error when it is not worth another try.
Result<void> BlobSource::recover(Error error) {
    exchange_.reset();
    if (error.kind() != ErrorKind::unavailable) return error;
    Transport& transport = mirrors_.current().transport();
    if (const auto pause = retries_.next(transport.options(), received_))
        return transport.pause(*pause);
    return std::move(error)
        .context(fmt::format("layer {}: gave up after {} of {} bytes", blob_.digest, received_,
                             blob_.size))
        .with_kind(ErrorKind::unavailable);
}

/// Bytes that the one connection may bring now: the others have begun behind them.
std::size_t BlobSource::room() const {
    if (phase_ != joined) return buffer_size;
    return std::min<std::uint64_t>(buffer_size, chunks_->begin() - received_);
}

Result<std::size_t> BlobSource::read_some() {
    if (!exchange_) TRY(open());
    const auto asked = Pace::Clock::now();
    auto got = exchange_->read({buffer_.get(), room()});
    if (!got) return as_network_error(std::move(got).error());
    pace_.add(*got, Pace::Clock::now() - asked);
    if (received_ + *got > size())
        return fail(ErrorKind::corrupt, "layer {}: the registry sends more than {} bytes",
                    blob_.digest, size());
    if (*got == 0 && received_ < size()) return fail(ErrorKind::unavailable, "unexpected EOF");
    return got;
}

// --- several

bool BlobSource::is_worth_several() const {
    const auto& several = options_.several;
    const std::uint64_t left = size() - received_;
    const std::chrono::duration<double> least(several.least_time);
    return left >= several.least_left && left > several.chunk &&
           pace_.share_waited() >= several.waiting &&
           static_cast<double>(left) >= pace_.bytes_per_second() * least.count();
}

/// Once a second: when the one connection keeps us waiting and much is left, others join it.
void BlobSource::consider_several() {
    if (phase_ != one || !options_.chunks || pace_.elapsed() < options_.several.patience) return;
    if (is_worth_several() && options_.chunks->try_acquire()) {
        auto started = BlobChunks::start(mirrors_, blob_, received_ + options_.several.chunk,
                                         *options_.chunks, options_.several);
        // Without them the one connection goes on.
        if (started) {
            chunks_ = *std::move(started);
            pace_of_one_ = pace_.bytes_per_second();
            phase_ = joined;
        } else {
            options_.chunks->release();
        }
    }
    pace_.restart();
}

/// Several connections that share what one could have had are a burden to others.
void BlobSource::judge_several() {
    if (!pace_of_one_ || pace_.elapsed() < options_.several.trial) return;
    const std::chrono::duration<double> elapsed = pace_.elapsed();
    const auto first = static_cast<double>(options_.several.chunk);  // the one connection's
    const double together = (first + static_cast<double>(chunks_->received())) / elapsed.count();
    if (together < *pace_of_one_ * worthwhile) chunks_->finish();
    pace_of_one_.reset();
}

/// What several connections have brought; nothing when one is at work.
std::string_view BlobSource::read_chunks() {
    if (phase_ == joined && received_ == chunks_->begin()) {
        const bool taken = chunks_->take_over();
        if (taken) exchange_.reset();
        phase_ = taken ? several : one_again;
    }
    if (phase_ != several) return {};
    judge_several();
    if (const auto bytes = chunks_->next()) return *bytes;
    chunks_->stop();
    phase_ = one_again;
    return {};
}

// --- together

Result<std::string_view> BlobSource::finish() {
    done_ = true;
    exchange_.reset();
    if (hash_.digest() != blob_.digest)
        return fail(ErrorKind::corrupt, "filesystem layer verification failed for digest {}",
                    blob_.digest);
    if (options_.complete) options_.complete();
    return std::string_view();
}

/// What an earlier try has brought; 0 when there is no more of it.
Result<std::size_t> BlobSource::read_kept() {
    if (!partial_ || received_ >= partial_->size()) return std::size_t{0};
    if (partial_->size() > size())
        return fail(ErrorKind::corrupt, "layer {}: more than {} bytes were kept", blob_.digest,
                    blob_.size);
    return partial_->read(received_, {buffer_.get(), buffer_size});
}

std::string_view BlobSource::accept(std::string_view bytes) {
    hash_.update(bytes);
    received_ += bytes.size();
    if (options_.received) options_.received(received_);
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
        if (received_ == size() && received_ > 0) return finish();
        if (const auto kept = TRY(read_kept())) return accept({buffer_.get(), kept});
        if (const auto ahead = read_chunks(); !ahead.empty()) return accept(ahead);
        auto got = read_some();
        if (!got) {
            TRY(recover(std::move(got).error()));
            continue;
        }
        if (*got == 0) return finish();
        const auto bytes = accept({buffer_.get(), *got});
        consider_several();
        return bytes;
    }
}

}  // namespace corten::image
