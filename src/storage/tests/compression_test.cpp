#include "support.hpp"

#include <storage/compression.hpp>
#include <sys/file.hpp>

#include <atomic>
#include <thread>

namespace corten::storage {
namespace {

using namespace testing;

std::string sample() {
    std::string text;
    for (int i = 0; text.size() < 700'000; ++i)
        text += fmt::format("line {} {}\n", i, i * 7919 % 1009);
    return text;
}

std::string compress(std::string_view text, Compression kind) {
    std::string out;
    StringSink sink(out);
    auto compressor = Compressor::create(kind, sink).value();
    for (std::size_t at = 0; at < text.size(); at += 10'000)
        EXPECT_OK(compressor->write(text.substr(at, 10'000)));
    EXPECT_OK(compressor->finish());
    return out;
}

Result<std::string> decompress(std::string_view text, std::size_t piece = 1 << 20) {
    PieceSource source(text, piece);
    const auto stage = TRY(Decompressor::create(source));
    std::string out;
    StringSink sink(out);
    TRY(copy(*stage, sink));
    return out;
}

/// By the programs that everybody else uses.
std::string run(const std::string& program, std::string_view input) {
    TemporaryDirectory directory;
    testing::write(directory / "in", input);
    EXPECT_EQ(shell(fmt::format("{} < {} > {}", program, directory / "in", directory / "out")), 0);
    return testing::read(directory / "out");
}

class CompressionKinds : public ::testing::TestWithParam<Compression> {};

TEST_P(CompressionKinds, RoundTripInAnyPieces) {
    const std::string text = sample();
    const std::string compressed = compress(text, GetParam());
    EXPECT_EQ(detect_compression(compressed), GetParam());
    for (const std::size_t piece : {1u, 3u, 4096u, 1u << 20})
        EXPECT_EQ(decompress(compressed, piece).value_or("error"), text);
}

TEST_P(CompressionKinds, SeveralStreamsInARowAreOne) {
    const std::string text = sample();
    const std::string compressed = compress(text, GetParam()) + compress("x", GetParam()) +
                                   compress("", GetParam()) + compress(text, GetParam());
    for (const std::size_t piece : {1u, 4096u, 1u << 20})
        EXPECT_EQ(decompress(compressed, piece).value_or("error"), text + "x" + text);
}

TEST_P(CompressionKinds, TruncatedIsCorruptAtEveryPlace) {
    const std::string compressed = compress(sample(), GetParam());
    for (std::size_t size = 7; size < compressed.size(); size += compressed.size() / 50 + 1)
        EXPECT_ERROR(decompress(std::string_view(compressed).substr(0, size)), ErrorKind::corrupt);
    EXPECT_ERROR(decompress(std::string_view(compressed).substr(0, compressed.size() - 1), 1),
                 ErrorKind::corrupt);
}

TEST_P(CompressionKinds, GarbageBehindIsCorrupt) {
    EXPECT_ERROR(decompress(compress("x", GetParam()) + "garbage"), ErrorKind::corrupt);
}

TEST_P(CompressionKinds, ABitFlipIsCorrupt) {
    std::string compressed = compress(sample(), GetParam());
    compressed[compressed.size() / 2] ^= 0x10;
    EXPECT_ERROR(decompress(compressed), ErrorKind::corrupt);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CompressionKinds,
                         ::testing::Values(Compression::gzip, Compression::zstd),
                         [](const auto& p) { return std::string(to_string(p.param)); });

TEST(Compression, PlainPassesThrough) {
    EXPECT_EQ(decompress("hello", 2).value_or("error"), "hello");
    EXPECT_EQ(decompress("").value_or("error"), "");
}

TEST(Compression, ZeroPaddingBehindGzip) {
    EXPECT_EQ(decompress(compress("x", Compression::gzip) + std::string(5000, '\0'), 100)
                  .value_or("error"),
              "x");
}

TEST(Compression, OthersReadWhatWeWrite) {
    const std::string text = sample();
    EXPECT_EQ(run("gzip -dc", compress(text, Compression::gzip)), text);
    EXPECT_EQ(run("zstd -dcq", compress(text, Compression::zstd)), text);
}

TEST(Compression, WeReadWhatOthersWrite) {
    const std::string text = sample();
    for (const char* program : {"gzip -9", "gzip -1", "zstd -q", "zstd -q -19", "xz -1", "bzip2"})
        EXPECT_EQ(decompress(run(program, text), 1000).value_or("error"), text) << program;
}

TEST(Compression, SkippableZstdFrames) {
    const std::string frame("\x50\x2a\x4d\x18\x04\0\0\0meta", 12);
    EXPECT_EQ(decompress(frame + compress("x", Compression::zstd) + frame).value_or("error"), "x");
}

TEST(Compression, HowFarZstdLooksBackIsLimited) {
    const std::string text = sample();
    for (const char* good : {"zstd -q --ultra -20", "zstd -q --long=25"})
        EXPECT_EQ(decompress(run(good, text)).value_or("error"), text) << good;
    for (const char* bad : {"zstd -q --ultra -22", "zstd -q --long=26"})
        EXPECT_ERROR(decompress(run(bad, text)), ErrorKind::unsupported);
}

TEST(Compression, XzThatNeedsMuchMemoryIsRefused) {
    const std::string text = sample();
    EXPECT_EQ(decompress(run("xz -9", text)).value_or("error"), text);
    EXPECT_EQ(decompress(run("xz -0", text) + run("xz -0", "x")).value_or("error"), text + "x");
    EXPECT_ERROR(decompress(run("xz --lzma2=dict=192MiB", text)), ErrorKind::unsupported);
    const std::string good = run("xz -0", text);
    for (std::size_t size = 7; size < good.size(); size += good.size() / 20 + 1)
        EXPECT_ERROR(decompress(std::string_view(good).substr(0, size), 999), ErrorKind::corrupt);
    EXPECT_ERROR(decompress(good + "garbage"), ErrorKind::corrupt);
}

/// What a stream asks for, frame by frame.
std::vector<std::size_t> windows(const std::string& compressed, std::size_t piece) {
    std::vector<std::size_t> asked;
    WindowMemory memory(1 << 20);
    PieceSource source(compressed, piece);
    const auto take = [&](std::size_t bytes) -> Result<WindowMemory::Part> {
        asked.push_back(bytes);
        return *memory.take(bytes, [] { return true; });
    };
    const auto stage = Decompressor::create(source, take).value();
    std::string out;
    StringSink sink(out);
    EXPECT_OK(copy(*stage, sink));
    return asked;
}

TEST(Compression, WindowsAreAskedForBeforeTheyAreAllocated) {
    const std::string text = sample();
    const std::string small = run("zstd -q -1", text);
    const std::string large = run("zstd -q --long=25", text);
    const std::string known = run(fmt::format("zstd -q --stream-size={}", text.size()), text);
    const std::string skipped("\x50\x2a\x4d\x18\x04\0\0\0meta", 12);
    for (const std::size_t piece : {1u, 7u, 1u << 20}) {
        EXPECT_EQ(windows(large, piece), std::vector<std::size_t>{32 << 20});
        EXPECT_EQ(windows(known, piece), std::vector<std::size_t>{text.size()});
        EXPECT_EQ(windows(skipped + small + large + skipped + small, piece),
                  (std::vector<std::size_t>{512 << 10, 32 << 20}));
        EXPECT_TRUE(windows(run("gzip", text), piece).empty());
    }
}

TEST(Compression, WhoNeedsALargeWindowWaitsForTheOthersAndThenGoesFirst) {
    WindowMemory memory(32 << 20);
    const auto at_once = [] { return true; };
    auto first = memory.take(8 << 20, at_once);
    auto second = memory.take(8 << 20, at_once);
    ASSERT_TRUE(first && second);
    EXPECT_FALSE(memory.take(32 << 20, at_once)) << "and nothing is taken";
    std::atomic<bool> waits = false, waits_too = false, late = false;
    std::thread large([&] {
        const auto part = memory.take(64 << 20, [&] {
            waits = true;
            return false;
        });
        EXPECT_FALSE(late) << "who asked later was served first";
    });
    while (!waits) std::this_thread::yield();
    std::thread small([&] {
        late = memory
                   .take(8 << 20,
                         [&] {
                             waits_too = true;
                             return false;
                         })
                   .has_value();
    });
    while (!waits_too && !late) std::this_thread::yield();
    EXPECT_FALSE(late) << "there is room, but not for who asked first";
    first.reset();
    second.reset();
    large.join();
    small.join();
    EXPECT_TRUE(late);
}

TEST(Compression, OnlyThoseAreWritten) {
    std::string out;
    StringSink sink(out);
    EXPECT_ERROR(Compressor::create(Compression::xz, sink), ErrorKind::unsupported);
}

}  // namespace
}  // namespace corten::storage
