#include "blob_chunks.hpp"

#include <pthread.h>

namespace corten::image {

namespace {

constexpr std::size_t piece_size = 256 << 10;
/// A body of a refusal that is read, so that the connection can be used again.
constexpr std::size_t short_body = 64 << 10;

}  // namespace

Result<std::unique_ptr<BlobChunks>> BlobChunks::start(Mirrors& mirrors, const oci::Descriptor& blob,
                                                      std::uint64_t begin, Slots& budget,
                                                      const SeveralConnections& options) {
    auto stop = TRY(sys::Event::create());
    return std::unique_ptr<BlobChunks>(
        new BlobChunks(mirrors, blob, begin, budget, options, std::move(stop)));
}

BlobChunks::BlobChunks(Mirrors& mirrors, oci::Descriptor blob, std::uint64_t begin, Slots& budget,
                       const SeveralConnections& options, sys::Event stop)
    : mirrors_(mirrors),
      blob_(std::move(blob)),
      begin_(begin),
      budget_(budget),
      options_(options),
      stop_(std::move(stop)),
      next_begin_(begin),
      end_(static_cast<std::uint64_t>(blob_.size)),
      given_(begin),
      limit_(options.connections) {
    add_chunk(true);
    for (int i = 0; i < options_.connections; ++i) threads_.emplace_back([this] { work(); });
}

BlobChunks::~BlobChunks() {
    stop();
    for (auto& thread : threads_) thread.join();
}

// --- the reader's side

bool BlobChunks::take_over() {
    std::unique_lock lock(mutex_);
    const Chunk& first = chunks_.front();
    // Refused a second connection: then the reader's is the better one.
    const auto is_refused = [&] { return limit_ <= 1 && !first.fetching; };
    changed_.wait(lock, [&] { return first.received > 0 || end_ <= begin_ || is_refused(); });
    if (first.received == 0) cut(begin_);
    reader_has_one_ = false;
    changed_.notify_all();
    return end_ > begin_;
}

std::optional<std::string_view> BlobChunks::next() {
    std::unique_lock lock(mutex_);
    if (current_.bytes) spare_.push_back(std::exchange(current_, {}));
    while (!stopped_ && given_ < end_) {
        Chunk* first = chunks_.empty() ? nullptr : &chunks_.front();
        if (first && !first->pieces.empty()) {
            current_ = std::move(first->pieces.front());
            first->pieces.pop_front();
            given_ += current_.size;
            return std::string_view(current_.bytes.get(), current_.size);
        }
        if (first && first->is_whole() && !first->fetching) {
            drop(*first);
            chunks_.pop_front();
            changed_.notify_all();
            continue;
        }
        changed_.wait(lock);
    }
    return std::nullopt;
}

void BlobChunks::finish() {
    std::lock_guard lock(mutex_);
    cut(next_begin_);
}

void BlobChunks::stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    stop_.set();
    spare_.clear();
    for (auto& chunk : chunks_)
        if (!chunk.fetching) drop(chunk);
    changed_.notify_all();
}

std::uint64_t BlobChunks::received() const {
    std::lock_guard lock(mutex_);
    return received_;
}

/// Nothing comes from here beyond `at`. With the lock held.
void BlobChunks::cut(std::uint64_t at) {
    end_ = std::min(end_, at);
    changed_.notify_all();
}

/// Gives a chunk's memory and slot back. With the lock held.
void BlobChunks::drop(Chunk& chunk) {
    chunk.pieces.clear();
    if (std::exchange(chunk.has_slot, false)) budget_.release();
}

// --- the connections' side

void BlobChunks::work() {
    ::pthread_setname_np(::pthread_self(), "image-chunk");
    while (Chunk* chunk = claim()) settle(*chunk, fetch(*chunk));
}

/// The next chunk to fetch, when another connection is allowed; nullptr when the window ends.
BlobChunks::Chunk* BlobChunks::claim() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
        if (Chunk* chunk = find_free()) {
            chunk->fetching = true;
            ++busy_;
            return chunk;
        }
        changed_.wait(lock);
    }
    return nullptr;
}

BlobChunks::Chunk* BlobChunks::find_free() {
    if (connections() >= limit_) return nullptr;
    for (auto& chunk : chunks_)
        if (!chunk.fetching && !chunk.is_whole() && chunk.begin < end_) return &chunk;
    if (next_begin_ >= end_) return nullptr;
    // The one that the reader waits for needs no slot: so every blob goes on.
    const bool ahead = reader_has_one_ || !chunks_.empty();
    if (ahead && !budget_.try_acquire()) return nullptr;
    return add_chunk(ahead);
}

BlobChunks::Chunk* BlobChunks::add_chunk(bool has_slot) {
    const std::uint64_t end = std::min(next_begin_ + options_.chunk, end_);
    chunks_.push_back({.begin = next_begin_, .end = end, .has_slot = has_slot});
    next_begin_ = end;
    return &chunks_.back();
}

BlobChunks::Outcome BlobChunks::fetch(Chunk& chunk) {
    Retries retries;
    while (true) {
        Session& session = mirrors_.current();
        Transport& transport = session.transport();
        const auto [outcome, wait] = try_fetch(session, chunk);
        const auto pause = outcome == Outcome::again
                               ? retries.next(transport.options(), chunk.received)
                               : std::nullopt;
        const auto rest = wait ? wait : pause;
        if (rest && !transport.pause(*rest, stop_.fd())) return Outcome::over;
        if (outcome != Outcome::again && outcome != Outcome::denied) return outcome;
        if (pause) continue;
        if (!mirrors_.pass_over(session, Error(ErrorKind::not_found, "a part of a blob")))
            return Outcome::over;
        retries = Retries();
    }
}

BlobChunks::Try BlobChunks::try_fetch(Session& session, Chunk& chunk) {
    auto answer = session.blob_part(blob_.digest, chunk.begin + chunk.received, chunk.end);
    if (!answer) {
        const ErrorKind kind = answer.error().kind();
        if (kind == ErrorKind::cancelled) return {Outcome::over};
        return {kind == ErrorKind::unavailable ? Outcome::again : Outcome::denied};
    }
    const int status = answer->status();
    if (status == 206 && is_asked_part(*answer, chunk)) return {read(*answer, chunk)};
    if (status < 400) return {Outcome::no_ranges};
    return refused(session, *answer);
}

BlobChunks::Try BlobChunks::refused(Session& session, Exchange& answer) {
    const int status = answer.status();
    answer.read_all(short_body).ignore();
    if (!is_passing(status)) return {Outcome::denied};
    const bool too_many = status == 429 || status == 503;
    std::optional<std::chrono::milliseconds> wait = session.transport().asked_wait(answer);
    // The one connection that goes on then gives it up in its own words.
    if (wait > session.transport().options().longest_wait) wait.reset();
    return {too_many ? Outcome::too_many : Outcome::again, wait};
}

bool BlobChunks::is_asked_part(const Exchange& answer, const Chunk& chunk) const {
    const std::uint64_t first = chunk.begin + chunk.received;
    const auto range = answer.headers().get_or("Content-Range", "");
    const std::string asked = fmt::format("bytes {}-{}/", first, chunk.end - 1);
    return answer.length().value_or(chunk.end - first) == chunk.end - first &&
           (range == asked + "*" || range == fmt::format("{}{}", asked, blob_.size));
}

BlobChunks::Outcome BlobChunks::read(Exchange& answer, Chunk& chunk) {
    while (!chunk.is_whole()) {
        Piece piece = take_piece();
        const std::uint64_t left = chunk.end - chunk.begin - chunk.received;
        const bool filled = fill(answer, piece, std::min<std::uint64_t>(left, piece_size));
        if (!push(chunk, std::move(piece))) return Outcome::over;
        if (!filled) return Outcome::again;
    }
    return Outcome::whole;
}

/// False when the connection ends or fails before; what came till then is in the piece.
bool BlobChunks::fill(Exchange& answer, Piece& piece, std::size_t wanted) const {
    while (piece.size < wanted) {
        const auto got =
            answer.read({piece.bytes.get() + piece.size, wanted - piece.size}, stop_.fd());
        if (!got || *got == 0) return false;
        piece.size += *got;
    }
    return true;
}

BlobChunks::Piece BlobChunks::take_piece() {
    std::lock_guard lock(mutex_);
    Piece piece;
    if (spare_.empty()) {
        piece.bytes = std::make_unique_for_overwrite<char[]>(piece_size);
    } else {
        piece.bytes = std::move(spare_.back().bytes);
        spare_.pop_back();
    }
    return piece;
}

/// False when nobody needs the chunk any more.
bool BlobChunks::push(Chunk& chunk, Piece piece) {
    std::lock_guard lock(mutex_);
    if (stopped_ || chunk.begin >= end_) return false;
    chunk.received += piece.size;
    received_ += piece.size;
    if (piece.size > 0)
        chunk.pieces.push_back(std::move(piece));
    else
        spare_.push_back(std::move(piece));
    changed_.notify_all();
    return true;
}

void BlobChunks::settle(Chunk& chunk, Outcome outcome) {
    std::lock_guard lock(mutex_);
    chunk.fetching = false;
    --busy_;
    const bool others = connections() > 0;
    // As many as were not refused; the chunk is theirs to fetch.
    if (outcome == Outcome::too_many && others)
        limit_ = std::min(limit_, connections());
    else if (outcome != Outcome::whole)
        cut(chunk.begin + chunk.received);
    if (stopped_) drop(chunk);
    changed_.notify_all();
}

}  // namespace corten::image
