#include "support.hpp"
#include "tar_fields.hpp"

#include <storage/tar.hpp>

#include <cstring>

namespace corten::storage {
namespace {

using namespace testing;

struct Item {
    TarEntry entry;
    std::string content;
};

Result<std::vector<Item>> read_all(std::string_view tar, std::size_t piece = 1 << 20) {
    PieceSource source(tar, piece);
    TarReader reader(source);
    std::vector<Item> items;
    while (const TarEntry* found = TRY(reader.next())) {
        Item& item = items.emplace_back(Item{*found, {}});
        for (;;) {
            const std::string_view bytes = TRY(reader.data());
            if (bytes.empty()) break;
            item.content += bytes;
        }
    }
    TRY(reader.drain());
    return items;
}

/// A header with a right checksum, to be broken by the test.
std::string header(std::string_view name, char type, std::uint64_t size,
                   const std::function<void(char*)>& change = {}) {
    std::string block(512, '\0');
    std::memcpy(block.data(), name.data(), name.size());
    std::memcpy(block.data() + 100, "0000644", 8);
    const std::string octal = fmt::format("{:011o}", size);
    std::memcpy(block.data() + 124, octal.data(), octal.size());
    block[156] = type;
    std::memcpy(block.data() + 257, "ustar\00000", 8);
    if (change) change(block.data());
    const std::string sum = fmt::format("{:06o}", tar_fields::computed_checksum(block.data()));
    std::memcpy(block.data() + 148, sum.data(), 6);
    block[155] = ' ';
    return block;
}
std::string padded(std::string text) {
    text.resize((text.size() + 511) / 512 * 512, '\0');
    return text;
}
const std::string end_of_archive(1024, '\0');

TEST(Tar, RoundTripAtEverySeam) {
    TarEntry full = entry(EntryType::file, "dir/caps", 04755);
    full.uid = 3'000'000;
    full.gid = 70000;
    full.mtime = {-2, 250'000'000};
    full.xattrs = {{"security.capability", std::string("\1\0\0=\n", 5)}, {"user.x", ""}};
    const std::string long_name = std::string(300, 'd') + "/\xff\xfe\n";
    TarText text;
    text.directory("dir/").add(full, "content").file(long_name, std::string(1000, 'x'));
    text.symlink("link", std::string(200, 't')).hard_link("hard", "dir/caps");
    const std::string tar = text.finish();
    for (const std::size_t piece : {1u, 7u, 511u, 512u, 513u, 100000u}) {
        const auto items = read_all(tar, piece);
        ASSERT_OK(items);
        ASSERT_EQ(items->size(), 5u);
        EXPECT_EQ((*items)[0].entry.type, EntryType::directory);
        const TarEntry& got = (*items)[1].entry;
        EXPECT_EQ(got.mode, 04755u);
        EXPECT_EQ(got.uid, 3'000'000u);
        EXPECT_EQ(got.gid, 70000u);
        EXPECT_EQ(got.mtime.tv_sec, -2);
        EXPECT_EQ(got.mtime.tv_nsec, 250'000'000);
        EXPECT_EQ(got.xattrs[0].second, full.xattrs[0].second);
        EXPECT_EQ((*items)[1].content, "content");
        EXPECT_EQ((*items)[2].entry.name, long_name);
        EXPECT_EQ((*items)[2].content, std::string(1000, 'x'));
        EXPECT_EQ((*items)[3].entry.link, std::string(200, 't'));
        EXPECT_EQ((*items)[4].entry.link, "dir/caps");
    }
}

TEST(Tar, SparsePaxRoundTrip) {
    TarEntry sparse = entry(EntryType::file, "sparse");
    sparse.size = 1 << 20;
    sparse.extents = {{{0, 3}, {5000, 4}, {1 << 20, 0}}};
    const std::string tar = TarText().add(sparse, "abcdefg").file("next").finish();
    const auto items = read_all(tar, 100);
    ASSERT_OK(items);
    ASSERT_EQ(items->size(), 2u);
    EXPECT_EQ((*items)[0].entry.name, "sparse");
    EXPECT_EQ((*items)[0].entry.size, 1u << 20);
    EXPECT_EQ((*items)[0].content, "abcdefg");
    ASSERT_EQ((*items)[0].entry.extents->size(), 3u);
    EXPECT_EQ((*(*items)[0].entry.extents)[1].offset, 5000u);
}

TEST(Tar, GnuLongNames) {
    const std::string name(5000, 'n');
    const std::string tar = header("././@LongLink", 'L', 5001) + padded(name + '\0') +
                            header("././@LongLink", 'K', 4) + padded(std::string("abc\0", 4)) +
                            header("short", '2', 0) + end_of_archive;
    const auto items = read_all(tar);
    ASSERT_OK(items);
    EXPECT_EQ((*items)[0].entry.name, name);
    EXPECT_EQ((*items)[0].entry.link, "abc");
}

TEST(Tar, UstarPrefixV7AndBase256) {
    const auto with_prefix =
        header("name", '0', 0, [](char* b) { std::memcpy(b + 345, "pre", 3); });
    const auto v7 = header("olddir/", '\0', 0, [](char* b) { std::memset(b + 257, 0, 8); });
    const auto big = header("big", '2', 0, [](char* b) {
        b[108] = '\x80';  // uid, base-256
        b[115] = 5;
        std::memset(b + 136, 0xff, 12);  // mtime -1
    });
    const auto items = read_all(with_prefix + v7 + big + end_of_archive);
    ASSERT_OK(items);
    EXPECT_EQ((*items)[0].entry.name, "pre/name");
    EXPECT_EQ((*items)[1].entry.type, EntryType::directory);
    EXPECT_EQ((*items)[2].entry.uid, 5u);
    EXPECT_EQ((*items)[2].entry.mtime.tv_sec, -1);
}

TEST(Tar, SizesAboveTheOctalField) {
    // 64 GiB by pax and by base-256: the archive then stops inside the content.
    std::string pax;
    tar_fields::append_pax(pax, "size", "68719476736");
    const std::string tar = header("x", 'x', pax.size()) + padded(pax) + header("big", '0', 0);
    StringSource source(tar);
    TarReader reader(source);
    const auto found = reader.next();
    ASSERT_OK(found);
    EXPECT_EQ((*found)->size, 68719476736u);
    EXPECT_ERROR(reader.data(), ErrorKind::corrupt);
}

TEST(Tar, GlobalHeadersAreSkipped) {
    std::string pax;
    tar_fields::append_pax(pax, "path", "everything");
    const auto items =
        read_all(header("g", 'g', pax.size()) + padded(pax) + header("a", '0', 0) + end_of_archive);
    ASSERT_OK(items);
    EXPECT_EQ((*items)[0].entry.name, "a");
}

TEST(Tar, HardLinkSizesMeanNothing) {
    const auto items = read_all(header("l", '1', 12345) + header("a", '0', 0) + end_of_archive);
    ASSERT_OK(items);
    ASSERT_EQ(items->size(), 2u);
}

TEST(Tar, EndsAreLenientAsDockers) {
    EXPECT_TRUE(read_all(""));
    EXPECT_TRUE(read_all(header("a", '0', 0)));
    EXPECT_TRUE(read_all(header("a", '0', 0) + std::string(512, '\0')));
    EXPECT_TRUE(read_all(header("a", '0', 0) + end_of_archive + "trailing garbage"));
}

TEST(Tar, BrokenArchivesAreCorrupt) {
    const auto bad = [](const std::string& tar) {
        EXPECT_ERROR(read_all(tar), ErrorKind::corrupt);
    };
    bad("short");
    bad(std::string(512, 'x'));
    bad(header("a", '0', 0) + std::string(512, '\0') + header("b", '0', 0));
    bad(header("a", '0', 1000) + std::string(512, 'x'));
    bad(header("a", '0', 10) + "0123456789");  // padding is missing
    bad(header("a", 'Q', 0));
    bad(header("a", '0', 0, [](char* b) { std::memcpy(b + 124, "99999999999", 11); }));
    bad(header("a", '0', 0, [](char* b) { std::memset(b + 124, 0xff, 12); }));  // negative
    bad(header("a", '0', 0, [](char* b) { std::memset(b + 108, 0xff, 8); }));
    bad(header("x", 'x', 2 << 20) + std::string(2 << 20, 'x'));
    for (const char* pax : {"5 a=b\n", "99 a=b\n", "6 a=bc", "7 ab\n\n\n", "0 \n", "-1 a=b\n",
                            "18446744073709551617 a=b\n", "11 mtime=x\n", "12 size=-1\n",
                            "20 uid=4294967295\n", "9 =value\n"})
        bad(header("x", 'x', std::strlen(pax)) + padded(pax) + header("a", '0', 0) +
            end_of_archive);
}

TEST(Tar, BrokenSparseMapsAreCorrupt) {
    const auto sparse = [](std::string map, std::string real, std::uint64_t stored) {
        std::string pax;
        tar_fields::append_pax(pax, "GNU.sparse.map", map);
        tar_fields::append_pax(pax, "GNU.sparse.size", real);
        return header("x", 'x', pax.size()) + padded(pax) + header("a", '0', stored) +
               padded(std::string(stored, 'd')) + end_of_archive;
    };
    EXPECT_TRUE(read_all(sparse("0,4,10,4", "20", 8)));
    for (const char* map : {"0,4,2,4", "10,4,0,4", "0,4,18,4", "0,4,10", "0,4,10,x", "0,4",
                            "0,4,18446744073709551615,4"})
        EXPECT_ERROR(read_all(sparse(map, "20", 8)), ErrorKind::corrupt);
}

TEST(Tar, ObserverSeesAllButThePayload) {
    struct Gather final : TarObserver {
        std::string seen;
        Result<void> framing(std::string_view bytes) override {
            seen += bytes;
            return {};
        }
    };
    const std::string tar = TarText().file(std::string(200, 'n'), "payload").finish() + "tail";
    PieceSource source(tar, 100);
    Gather gather;
    TarReader reader(source, &gather);
    std::string rebuilt;
    while (true) {
        const auto item = reader.next();
        ASSERT_OK(item);
        if (!*item) break;
        while (true) {
            const auto bytes = reader.data();
            ASSERT_OK(bytes);
            if (bytes->empty()) break;
            gather.seen += *bytes;
        }
    }
    ASSERT_OK(reader.drain());
    EXPECT_EQ(gather.seen, tar);
}

}  // namespace
}  // namespace corten::storage
