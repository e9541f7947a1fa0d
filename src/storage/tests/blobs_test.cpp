#include "support.hpp"

#include <storage/blobs.hpp>

#include <atomic>
#include <thread>

namespace corten::storage {
namespace {

using namespace testing;

class Blobs : public ::testing::Test {
protected:
    BlobStore open() { return BlobStore::open(root_.path()).value(); }
    std::size_t ingested() { return sys::list_directory(root_ / "ingest").value().size(); }
    TemporaryDirectory root_;
};

TEST_F(Blobs, CommitVerifiesAndPublishes) {
    const BlobStore store = open();
    auto writer = store.create().value();
    ASSERT_OK(writer.write("hel"));
    ASSERT_OK(writer.write("lo"));
    const std::string digest = sha256_digest("hello");
    ASSERT_OK(writer.commit(digest, 5));
    EXPECT_TRUE(store.has(digest));
    EXPECT_EQ(store.read(digest).value_or("?"), "hello");
    EXPECT_EQ(store.size(digest).value_or(0), 5u);
    EXPECT_OK(store.verify(digest));
    EXPECT_EQ(store.list().value().size(), 1u);
    EXPECT_EQ(ingested(), 0u);
    EXPECT_OK(store.remove(digest));
    EXPECT_OK(store.remove(digest));
    EXPECT_FALSE(store.has(digest));
    EXPECT_ERROR(store.open_blob(digest), ErrorKind::not_found);
}

TEST_F(Blobs, WrongDigestOrSizeIsCorruptAndLeavesNothing) {
    const BlobStore store = open();
    for (const bool wrong_size : {true, false}) {
        auto writer = store.create().value();
        ASSERT_OK(writer.write("hullo"));
        if (wrong_size)
            EXPECT_ERROR(writer.commit(sha256_digest("hullo"), 6), ErrorKind::corrupt);
        else
            EXPECT_ERROR(writer.commit(sha256_digest("hello")), ErrorKind::corrupt);
    }
    EXPECT_EQ(ingested(), 0u);
    EXPECT_EQ(store.list().value().size(), 0u);
}

TEST_F(Blobs, DroppedWriterLeavesNothing) {
    const BlobStore store = open();
    {
        auto writer = store.create().value();
        ASSERT_OK(writer.write("x"));
        EXPECT_EQ(ingested(), 1u);
    }
    EXPECT_EQ(ingested(), 0u);
}

TEST_F(Blobs, APartialBlobOutlivesItsStore) {
    const std::string digest = sha256_digest("hello world");
    {
        const BlobStore store = open();
        auto partial = store.partial(digest).value();
        ASSERT_OK(partial.append("hello "));
    }
    const BlobStore store = open();
    auto partial = store.partial(digest).value();
    EXPECT_EQ(partial.size(), 6u);
    EXPECT_ERROR(store.partial(digest), ErrorKind::conflict);
    ASSERT_OK(partial.append("world"));
    std::array<char, 64> buffer{};
    EXPECT_EQ(partial.read(4, buffer).value_or(0), 7u);
    EXPECT_EQ(std::string_view(buffer.data(), 7), "o world");
    EXPECT_EQ(partial.read(11, buffer).value_or(1), 0u);
    EXPECT_EQ(store.remove_partials().value_or(1), 0u) << "one that is in use";
    partial.discard();
    EXPECT_EQ(ingested(), 0u);
    EXPECT_EQ(store.partial(digest).value().size(), 0u);
}

TEST_F(Blobs, RemovingPartialsStandsBesideWhoPublishes) {
    const BlobStore store = open();
    std::atomic<bool> ended = false;
    std::thread publisher([&] {
        for (int i = 0; i < 300; ++i) {
            const std::string digest = sha256_digest(fmt::format("{}", i));
            auto partial = store.partial(digest);
            if (!partial || !partial->append("x")) continue;
            EXPECT_OK(store.publish(*std::move(partial), digest));
        }
        ended = true;
    });
    while (!ended) EXPECT_OK(store.remove_partials());
    publisher.join();
}

TEST_F(Blobs, StartRemovesWhatCannotGoOn) {
    (void)open();
    testing::write(root_ / "ingest/anonymous", "x");
    testing::write(root_ / ("ingest/" + std::string(64, 'a') + ".partial"), "old");
    ASSERT_EQ(shell("touch -d '30 days ago' " + (root_ / "ingest/*.partial")), 0);
    testing::write(root_ / ("ingest/" + std::string(64, 'b') + ".partial"), "young");
    testing::write(root_ / ("ingest/" + std::string(64, 'c') + ".partial"), "one");
    const BlobStore store = open();
    EXPECT_EQ(ingested(), 2u);
    EXPECT_EQ(store.remove_partial("sha256:" + std::string(64, 'c')).value_or(0), 3u);
    EXPECT_EQ(store.remove_partial("sha256:" + std::string(64, 'c')).value_or(9), 0u);
    EXPECT_EQ(ingested(), 1u);
    EXPECT_EQ(store.remove_partials().value_or(0), 5u);
    EXPECT_EQ(ingested(), 0u);
}

TEST_F(Blobs, DigestsAreNoPaths) {
    const BlobStore store = open();
    for (const char* bad : {"sha256:../../../etc/passwd", "", "sha256:", "md5:abc"}) {
        EXPECT_FALSE(store.has(bad));
        EXPECT_ERROR(store.open_blob(bad), ErrorKind::invalid);
        EXPECT_ERROR(store.partial(bad), ErrorKind::invalid);
        EXPECT_ERROR(store.remove(bad), ErrorKind::invalid);
    }
}

TEST_F(Blobs, AChangedBlobIsNotRead) {
    const BlobStore store = open();
    const std::string digest = store.put("good").value();
    testing::write(root_ / ("blobs/sha256/" + std::string(digest_hex(digest))), "evil");
    EXPECT_ERROR(store.read(digest), ErrorKind::corrupt);
    EXPECT_ERROR(store.verify(digest), ErrorKind::corrupt);
}

}  // namespace
}  // namespace corten::storage
