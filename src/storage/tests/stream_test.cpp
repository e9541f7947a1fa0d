#include <storage/digest.hpp>
#include <storage/stream.hpp>

#include <gtest/gtest.h>

namespace corten::storage {
namespace {

TEST(Digest, KnownValues) {
    EXPECT_EQ(sha256_digest(""),
              "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_TRUE(is_digest(sha256_digest("abc")));
    EXPECT_FALSE(
        is_digest("sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"));
    EXPECT_FALSE(is_digest("sha256:../../etc/passwd"));
    EXPECT_FALSE(is_digest("sha512:" + std::string(64, 'a')));
}

TEST(Digest, ChainId) {
    EXPECT_EQ(chain_id("", "sha256:a"), "sha256:a");
    EXPECT_EQ(chain_id("sha256:a", "sha256:b"), sha256_digest("sha256:a sha256:b"));
}

TEST(Digest, MayGoOnAfterDigest) {
    Sha256 hash;
    hash.update("a");
    EXPECT_EQ(hash.digest(), sha256_digest("a"));
    hash.update("b");
    EXPECT_EQ(hash.digest(), sha256_digest("ab"));
}

TEST(Produce, PassesEverythingInOrder) {
    std::string sent;
    for (int i = 0; i < 100000; ++i) sent += std::to_string(i);
    auto source =
        produce([&](Sink& sink) { return sink.write(sent); }, {.chunk = 1000, .chunks = 3});
    std::string got;
    StringSink sink(got);
    auto total = copy(*source, sink);
    ASSERT_TRUE(total);
    EXPECT_EQ(got, sent);
    EXPECT_TRUE(source->next()->empty()) << "the end stays the end";
}

TEST(Produce, GivesTheErrorAfterTheBytes) {
    auto source = produce([](Sink& sink) -> Result<void> {
        TRY(sink.write("some"));
        return fail(ErrorKind::corrupt, "broken");
    });
    EXPECT_EQ(source->next().value_or("?"), "some");
    auto end = source->next();
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().kind(), ErrorKind::corrupt);
}

TEST(Produce, StopsWhenTheReaderGoes) {
    Result<void> outcome;
    {
        auto source = produce([&](Sink& sink) {
            while (outcome) outcome = sink.write(std::string(1 << 16, 'x'));
            return outcome;
        });
        ASSERT_TRUE(source->next());
    }
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::cancelled);
}

TEST(ReadAhead, HashesInTheOtherThread) {
    const std::string text(1 << 20, 'x');
    StringSource start(text);
    HashingSource hashing(start);
    {
        auto source = read_ahead(hashing);
        std::string got;
        StringSink sink(got);
        ASSERT_TRUE(copy(*source, sink));
    }
    EXPECT_EQ(hashing.digest(), sha256_digest(text));
    EXPECT_EQ(hashing.bytes(), text.size());
}

}  // namespace
}  // namespace corten::storage
