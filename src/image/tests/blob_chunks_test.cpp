#include "session_fixture.hpp"

#include <algorithm>
#include <barrier>
#include <set>

namespace corten::image {

namespace {

constexpr std::uint64_t chunk = 128 << 10;
constexpr std::size_t blob_size = (2 << 20) + 777;

struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool operator<(const Range& other) const { return begin < other.begin; }
};

/// The range of a request that names its end: one of several connections asks so.
std::optional<Range> chunk_of(const FakeRequest& request) {
    const std::string text = request.header("range");
    const std::size_t dash = text.find('-');
    if (dash == text.npos || dash + 1 == text.size()) return std::nullopt;
    return Range{std::stoul(text.substr(6)), std::stoul(text.substr(dash + 1)) + 1};
}

FakeReply send_range(std::string_view blob, const Range& range) {
    return {.status = 206,
            .headers = {{"Content-Range",
                         fmt::format("bytes {}-{}/{}", range.begin, range.end - 1, blob.size())}},
            .body = std::string(blob.substr(range.begin, range.end - range.begin))};
}

/// A registry of one blob; what `chunks` answers, if anything, is sent to those who ask for one.
class ChunkRegistry {
public:
    using Handler = std::function<std::optional<FakeReply>(const Range&)>;
    explicit ChunkRegistry(Handler chunks = {})
        : chunks_(std::move(chunks)), registry([this](const FakeRequest& request) {
              const auto range = chunk_of(request);
              if (!range) return part(request, bytes, bytes.size());
              if (auto reply = chunks_ ? chunks_(*range) : std::nullopt) return *std::move(reply);
              return send_range(bytes, *range);
          }) {}

    std::vector<Range> chunks_asked() {
        std::vector<Range> asked;
        for (const auto& request : registry.requests())
            if (const auto range = chunk_of(request)) asked.push_back(*range);
        std::ranges::sort(asked, {}, &Range::begin);
        return asked;
    }
    std::vector<std::string> rests_asked() {
        std::vector<std::string> asked;
        for (const auto& request : registry.requests())
            if (!chunk_of(request)) asked.push_back(request.header("range"));
        return asked;
    }
    std::size_t asked_for_the_rest() { return rests_asked().size(); }

    const std::string bytes = test_bytes(blob_size);

private:
    Handler chunks_;

public:
    FakeRegistry registry;  // last: it begins to answer with everything else in place
};

TransportOptions patient() {
    auto options = fast();
    options.stall_timeout = std::chrono::seconds(20);
    return options;
}

class Chunks : public testing::Test {
protected:
    static constexpr std::ptrdiff_t slot_count = 5;

    /// Several connections as soon as the first bytes are here.
    BlobOptions at_once() {
        return {.chunks = &slots_,
                .several = {.chunk = chunk,
                            .least_left = 0,
                            .patience = std::chrono::milliseconds(0),
                            .waiting = 0,
                            .least_time = std::chrono::milliseconds(0),
                            .trial = std::chrono::hours(1)}};
    }
    std::string fetch(ChunkRegistry& from, const TransportOptions& options = patient()) {
        Client client(from.registry, options);
        BlobSource blob({&client.session}, descriptor_of(from.bytes), at_once());
        return read_whole(blob);
    }
    void TearDown() override {
        for (int i = 0; i < slot_count; ++i) EXPECT_TRUE(slots_.try_acquire()) << i;
        EXPECT_FALSE(slots_.try_acquire());
    }

    Slots slots_{slot_count};
};

/// Every byte behind the first chunk's begin is in one chunk.
void expect_covered_once(const std::vector<Range>& asked) {
    ASSERT_FALSE(asked.empty());
    for (std::size_t i = 1; i < asked.size(); ++i) EXPECT_EQ(asked[i].begin, asked[i - 1].end);
    EXPECT_EQ(asked.back().end, blob_size);
}

}  // namespace

TEST_F(Chunks, SeveralAreFetchedAtATimeAndEachOnce) {
    std::atomic<int> count = 0;
    std::barrier together(3);
    ChunkRegistry registry([&](const Range&) -> std::optional<FakeReply> {
        // The reader's own connection is the fourth.
        if (++count <= 3) together.arrive_and_wait();
        return std::nullopt;
    });
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_GE(registry.chunks_asked().size(), 10u);
    expect_covered_once(registry.chunks_asked());
    EXPECT_EQ(registry.asked_for_the_rest(), 1u);
}

TEST_F(Chunks, AtMostFourConnectionsAreOpen) {
    std::atomic<int> open = 0;
    std::atomic<int> most = 0;
    ChunkRegistry registry([&](const Range& range) -> std::optional<FakeReply> {
        const int now = ++open;
        for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(range.begin % 7));
        --open;
        return std::nullopt;
    });
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_LE(most, 4);
}

TEST_F(Chunks, ARegistryWithoutRangesSendsTheBlobOnce) {
    ChunkRegistry registry(
        [&](const Range&) { return FakeReply{.body = std::string(blob_size, 'x')}; });
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_EQ(registry.asked_for_the_rest(), 1u);
}

TEST_F(Chunks, AnotherRangeThanAskedForIsNotTaken) {
    std::function<std::string(const Range&)> lie;
    ChunkRegistry registry([&](const Range& range) {
        auto reply = send_range(test_bytes(blob_size), range);
        reply.headers["Content-Range"] = lie(range);
        return reply;
    });
    lie = [](const Range& r) {
        return fmt::format("bytes {}-{}/{}", r.begin + 1, r.end, blob_size);
    };
    EXPECT_EQ(fetch(registry), registry.bytes);
    lie = [](const Range& r) { return fmt::format("bytes {}-{}/{}", r.begin, r.end - 1, 5); };
    EXPECT_EQ(fetch(registry), registry.bytes);
    lie = [](const Range&) { return ""; };
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_EQ(registry.asked_for_the_rest(), 3u);
}

TEST_F(Chunks, WhatOneChunkLacksIsAskedForAgainAlone) {
    std::atomic<int> count = 0;
    std::atomic<std::uint64_t> cut_at = 0;
    ChunkRegistry registry([&](const Range& range) -> std::optional<FakeReply> {
        if (++count != 2) return std::nullopt;
        auto reply = send_range(test_bytes(blob_size), range);
        reply.announced = reply.body.size();
        reply.body.resize(1000);
        cut_at = range.begin + 1000;
        return reply;
    });
    EXPECT_EQ(fetch(registry), registry.bytes);
    const auto asked = registry.chunks_asked();
    const auto again = std::ranges::find(asked, cut_at.load(), &Range::begin);
    ASSERT_NE(again, asked.end());
    EXPECT_EQ(again->end, cut_at - 1000 + chunk);
    EXPECT_EQ(registry.asked_for_the_rest(), 1u);
}

TEST_F(Chunks, AStalledOneIsDialledAgain) {
    std::atomic<int> count = 0;
    ChunkRegistry registry([&](const Range& range) -> std::optional<FakeReply> {
        if (++count != 3) return std::nullopt;
        auto reply = send_range(test_bytes(blob_size), range);
        reply.announced = reply.body.size();
        reply.body.resize(10);
        reply.stall = true;
        return reply;
    });
    EXPECT_EQ(fetch(registry, fast()), registry.bytes);
}

TEST_F(Chunks, ARegistryThatWantsFewerGetsFewer) {
    std::atomic<int> open = 0;
    std::atomic<int> refused = 0;
    ChunkRegistry registry([&](const Range&) -> std::optional<FakeReply> {
        const int now = ++open;
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
        --open;
        if (now < 3) return std::nullopt;
        ++refused;
        return FakeReply{.status = 429};
    });
    EXPECT_EQ(fetch(registry), registry.bytes);
    // Each refusal closes a connection for good, and there were four; where it finds all the others
    // between two chunks the rest begins anew. Without that every second chunk is refused.
    EXPECT_LT(refused, 8);
}

TEST_F(Chunks, ARegistryThatWantsOneConnectionIsReadByTheFirst) {
    ChunkRegistry registry([&](const Range&) { return FakeReply{.status = 429}; });
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_EQ(registry.asked_for_the_rest(), 1u);
    EXPECT_LE(registry.chunks_asked().size(), 3u);
}

TEST_F(Chunks, OneThatIsAlwaysCutIsLeftToOneConnection) {
    std::atomic<std::uint64_t> bad = 0;
    ChunkRegistry registry([&](const Range& range) -> std::optional<FakeReply> {
        std::uint64_t none = 0;
        if (range.begin > blob_size / 2) bad.compare_exchange_strong(none, range.begin);
        if (range.begin != bad) return std::nullopt;
        return FakeReply{.status = 500};
    });
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_EQ(registry.asked_for_the_rest(), 2u);
    EXPECT_EQ(registry.rests_asked().back(), fmt::format("bytes={}-", bad.load()));
}

TEST_F(Chunks, WhatAMirrorLacksTheNextOneSends) {
    ChunkRegistry mirror([&](const Range&) { return FakeReply{.status = 404}; });
    ChunkRegistry registry;
    Client first(mirror.registry, patient(), {}, true);
    Client second(registry.registry, patient());
    BlobSource blob({&first.session, &second.session}, descriptor_of(registry.bytes), at_once());
    EXPECT_EQ(read_whole(blob), registry.bytes);
    expect_covered_once(registry.chunks_asked());
    EXPECT_EQ(mirror.asked_for_the_rest(), 1u);
    EXPECT_EQ(registry.asked_for_the_rest(), 0u);
}

TEST_F(Chunks, EachFollowsARedirectOfItsOwn) {
    ChunkRegistry store;
    std::atomic<int> signature = 0;
    FakeRegistry registry([&](const FakeRequest&) {
        const auto location =
            fmt::format("http://{}/blob?signature={}", store.registry.host(), ++signature);
        return FakeReply{.status = 307, .headers = {{"Location", location}}};
    });
    Client client(registry, patient());
    BlobSource blob({&client.session}, descriptor_of(store.bytes), at_once());
    EXPECT_EQ(read_whole(blob), store.bytes);
    expect_covered_once(store.chunks_asked());
    std::set<std::string> targets;
    for (const auto& request : store.registry.requests()) targets.insert(request.target);
    EXPECT_EQ(targets.size(), store.registry.requests().size());
}

TEST_F(Chunks, WithoutASlotOneConnectionHasToDo) {
    for (int i = 0; i < slot_count; ++i) ASSERT_TRUE(slots_.try_acquire());
    ChunkRegistry registry;
    EXPECT_EQ(fetch(registry), registry.bytes);
    EXPECT_TRUE(registry.chunks_asked().empty());
    slots_.release(slot_count);
}

TEST_F(Chunks, NoMoreAreBegunThanThereAreSlotsFor) {
    std::atomic<std::uint64_t> farthest = 0;
    ChunkRegistry registry([&](const Range& range) -> std::optional<FakeReply> {
        farthest = std::max(farthest.load(), range.end);
        return std::nullopt;
    });
    Client client(registry.registry, patient());
    BlobSource blob({&client.session}, descriptor_of(registry.bytes), at_once());
    std::string read;
    while (read.size() < blob_size) {
        const auto bytes = blob.next();
        ASSERT_TRUE(bytes);
        read += *bytes;
        // Beyond the reader: those with a slot, and the one that it is in.
        EXPECT_LE(farthest, read.size() + (slot_count + 2) * chunk);
    }
    EXPECT_EQ(read, registry.bytes);
}

TEST_F(Chunks, AReaderThatGoesAwayEndsThem) {
    std::atomic<bool> asked = false;
    ChunkRegistry registry([&](const Range& range) {
        auto reply = send_range(test_bytes(blob_size), range);
        reply.announced = reply.body.size();
        reply.body.resize(10);
        reply.stall = true;
        asked = true;
        asked.notify_all();
        return reply;
    });
    Client client(registry.registry, patient());
    const auto began = std::chrono::steady_clock::now();
    {
        BlobSource blob({&client.session}, descriptor_of(registry.bytes), at_once());
        ASSERT_TRUE(blob.next());
        asked.wait(false);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
}

TEST_F(Chunks, WrongBytesAreFound) {
    ChunkRegistry registry([&](const Range& range) {
        auto reply = send_range(test_bytes(blob_size), range);
        reply.body[5] = static_cast<char>(reply.body[5] ^ 1);
        return reply;
    });
    EXPECT_TRUE(fetch(registry).contains("filesystem layer verification failed for digest"));
}

}  // namespace corten::image
