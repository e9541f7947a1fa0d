#pragma once
// The rest of a blob over several connections, for registries that limit the speed of each: a
// window of chunks slides over it, each chunk is one range request (RFC 9110, 14.2), and they are
// given to the reader in order. What goes wrong for good is not an error: the window ends there,
// and the reader goes on with one connection.
#include "mirrors.hpp"

#include <sys/poll.hpp>

#include <condition_variable>
#include <deque>
#include <semaphore>
#include <thread>

namespace corten::image {

/// A number of something that all pulls of a daemon share.
using Slots = std::counting_semaphore<>;

/// When a blob is worth several connections, and how it is then cut.
struct SeveralConnections {
    int connections = 4;
    std::uint64_t chunk = 4 << 20;        ///< bytes of one request
    std::uint64_t least_left = 32 << 20;  ///< bytes; what is less is as soon here
    /// How long one connection is watched before others join it.
    std::chrono::milliseconds patience{1000};
    /// The share of that time it must have kept its reader waiting: otherwise it is not the link
    /// that limits.
    double waiting = 0.75;
    /// What would be here sooner than that is not worth them either.
    std::chrono::milliseconds least_time{2000};
    /// After that long they must have been worth it, or one has to do.
    std::chrono::milliseconds trial{3000};
};

/// Starts with the reader's own connection still at work: that one goes on to begin(), while the
/// others fetch what comes behind. Memory: the chunks, of which one needs no slot.
class BlobChunks {
public:
    /// One chunk has `budget`'s slot already, which the caller took; each further one that is ahead
    /// of the reader takes another. `mirrors`, the sessions' transport and `budget` are borrowed.
    static Result<std::unique_ptr<BlobChunks>> start(Mirrors& mirrors, const oci::Descriptor& blob,
                                                     std::uint64_t begin, Slots& budget,
                                                     const SeveralConnections& options);
    /// Waits for the connections; at most for a silent peer's answer, as long as the transport
    /// does.
    ~BlobChunks();
    BlobChunks(const BlobChunks&) = delete;

    std::uint64_t begin() const { return begin_; }
    /// The reader is at begin() and would close its connection. Waits for the first bytes from
    /// there. False: it should keep its connection, as nothing comes from here.
    bool take_over();
    /// The next bytes, valid until the next call; nullopt when no more come from here.
    std::optional<std::string_view> next();
    /// No further chunk is begun; those that were still come out of next().
    void finish();
    /// Nothing more comes out of next(); the connections end by themselves.
    void stop();
    /// Bytes that have come, in whatever order.
    std::uint64_t received() const;

private:
    struct Piece {
        std::unique_ptr<char[]> bytes;
        std::size_t size = 0;
    };
    struct Chunk {
        std::uint64_t begin = 0;
        std::uint64_t end = 0;
        std::uint64_t received = 0;
        bool fetching = false;
        bool has_slot = false;
        std::deque<Piece> pieces;
        bool is_whole() const { return begin + received == end; }
    };
    enum class Outcome {
        whole,      ///< all of the chunk is here
        again,      ///< the connection failed: the same may go well the next time
        denied,     ///< this endpoint does not have it
        too_many,   ///< the registry wants fewer requests
        no_ranges,  ///< the answer is not the range that was asked for
        over,       ///< cancelled, or nobody needs the chunk any more
    };

    BlobChunks(Mirrors& mirrors, oci::Descriptor blob, std::uint64_t begin, Slots& budget,
               const SeveralConnections& options, sys::Event stop);
    void work();
    Chunk* claim();
    Chunk* find_free();
    Chunk* add_chunk(bool has_slot);
    /// What a try came to, and how long the registry wants to be left alone.
    struct Try {
        Outcome outcome;
        std::optional<std::chrono::milliseconds> wait{};
    };
    Outcome fetch(Chunk& chunk);
    Try try_fetch(Session& session, Chunk& chunk);
    static Try refused(Session& session, Exchange& answer);
    Outcome read(Exchange& answer, Chunk& chunk);
    bool is_asked_part(const Exchange& answer, const Chunk& chunk) const;
    bool fill(Exchange& answer, Piece& piece, std::size_t wanted) const;
    Piece take_piece();
    bool push(Chunk& chunk, Piece piece);
    void settle(Chunk& chunk, Outcome outcome);
    void cut(std::uint64_t at);
    void drop(Chunk& chunk);
    int connections() const { return busy_ + (reader_has_one_ ? 1 : 0); }

    Mirrors& mirrors_;
    const oci::Descriptor blob_;
    const std::uint64_t begin_;
    Slots& budget_;
    const SeveralConnections options_;
    const sys::Event stop_;
    Piece current_;  // the reader's

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<Chunk> chunks_;    ///< what was begun and not yet given to the reader
    std::vector<Piece> spare_;    ///< to be filled again
    std::uint64_t next_begin_;    ///< of the next chunk
    std::uint64_t end_;           ///< of what comes from here
    std::uint64_t given_;         ///< how far the reader is
    std::uint64_t received_ = 0;  ///< bytes
    int busy_ = 0;                ///< chunks that are being fetched
    int limit_;                   ///< of connections, the reader's counted
    bool reader_has_one_ = true;
    bool stopped_ = false;

    std::vector<std::thread> threads_;  // last: they start with everything else in place
};

}  // namespace corten::image
