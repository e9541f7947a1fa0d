// The same archives into a directory and into an EROFS image: the kernel must show one tree, and
// what is refused must be refused by both.
#include "archives.hpp"
#include "erofs_mount.hpp"
#include "erofs_target.hpp"
#include "tree.hpp"
#include "unpack.hpp"

#include <storage/digest.hpp>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <functional>
#include <map>

namespace corten::storage {
namespace {

using namespace testing;

constexpr std::time_t lately = 1'750'000'000;  // later times come from the clock

std::string xattrs_of(const std::string& path) {
    std::string names(64 << 10, '\0'), text;
    const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
    std::map<std::string, std::string> sorted;
    for (std::string_view rest(names.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
         !rest.empty(); rest.remove_prefix(rest.find('\0') + 1)) {
        const std::string name(rest.substr(0, rest.find('\0')));
        std::string value(64 << 10, '\0');
        const ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
        value.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
        sorted[name] = sha256_digest(value);
    }
    for (const auto& [name, digest] : sorted) text += " " + name + "=" + digest;
    return text;
}

/// A line about one object; `directory` may be deeper than a path can say.
std::string describe(FdView directory, const std::string& name, const std::string& path) {
    const struct ::stat info = *stat_at(directory, name).value();
    std::string text = fmt::format("{} {:o} {}:{}", path, info.st_mode, info.st_uid, info.st_gid);
    if (info.st_mtim.tv_sec < lately)
        text += fmt::format(" {}.{}", info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    if (!S_ISDIR(info.st_mode)) text += fmt::format(" n{} s{}", info.st_nlink, info.st_size);
    if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) text += fmt::format(" d{}", info.st_rdev);
    if (S_ISLNK(info.st_mode)) {
        std::string target(8192, '\0');
        const ssize_t n = ::readlinkat(directory.raw(), name.c_str(), target.data(), target.size());
        text += " -> " + target.substr(0, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
    if (S_ISREG(info.st_mode)) {
        const Fd file = sys::open_at(directory, name, O_RDONLY | O_NOFOLLOW).value();
        text += " " + sha256_digest(sys::read_all(file, 256 << 20).value());
    }
    return text + xattrs_of(fd_path(directory, name)) + "\n";
}

void list(FdView directory, const std::string& path, std::string& out) {
    for (const DirectoryItem& item : read_directory(directory).value()) {
        const std::string below = path + "/" + item.name;
        out += describe(directory, item.name, below);
        const auto child = sys::open_at(directory, item.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (child) list(*child, below, out);
    }
}

std::string listing(FdView parent, const std::string& name) {
    std::string out = describe(parent, name, "");
    list(sys::open_at(parent, name, O_RDONLY | O_DIRECTORY).value(), "", out);
    return out;
}

bool have_fsck() {
    static const bool found = shell("command -v fsck.erofs > /dev/null") == 0;
    return found;
}

UnpackPolicy layer() {
    UnpackPolicy policy;
    policy.whiteouts = Whiteouts::overlay;
    return policy;
}

class ErofsImages : public ::testing::Test {
protected:
    void SetUp() override { SKIP_IF_UNSUPPORTED(open_erofs_driver(directory_ / "trial")); }
    std::string image() const { return directory_ / "image"; }

    Result<UnpackResult> into_image(std::string_view tar, const UnpackPolicy& policy) {
        const Fd file = TRY(sys::open(image(), O_WRONLY | O_CREAT | O_TRUNC, 0600));
        ErofsTarget target(file);
        PieceSource source(tar, 1000);
        TarReader reader(source);
        return unpack_into(target, reader, policy);
    }
    Result<UnpackResult> into_directory(std::string_view tar, const UnpackPolicy& policy) {
        EXPECT_OK(sys::remove_tree(directory_ / "diff"));
        EXPECT_EQ(::mkdir((directory_ / "diff").c_str(), 0755), 0);
        const Fd root = TRY(sys::open(directory_ / "diff", O_PATH | O_DIRECTORY));
        PieceSource source(tar, 1000);
        TarReader reader(source);
        return unpack_tree(root, reader, policy);
    }
    Fd mounted() {
        auto mount = mount_erofs(image(), ErofsMount::detect);
        EXPECT_OK(mount);
        return mount ? std::move(*mount) : Fd();
    }

    void compare(const std::string& tar, const UnpackPolicy& policy = layer()) {
        const auto ours = into_image(tar, policy);
        const auto theirs = into_directory(tar, policy);
        ASSERT_EQ(ours.has_value(), theirs.has_value())
            << (ours ? theirs.error().message() : ours.error().message());
        if (!ours) {
            EXPECT_EQ(ours.error().kind(), theirs.error().kind()) << ours.error().message() << "\n"
                                                                  << theirs.error().message();
            EXPECT_FALSE(mount_erofs(image(), ErofsMount::detect)) << "half an image is none";
            return;
        }
        EXPECT_EQ(ours->entries, theirs->entries);
        EXPECT_EQ(ours->bytes, theirs->bytes);
        const Fd mount = mounted();
        ASSERT_TRUE(mount.valid());
        EXPECT_EQ(listing(mount, "diff"), listing(directory_.fd(), "diff"));
        if (have_fsck())
            EXPECT_EQ(shell(fmt::format("fsck.erofs --extract {} > {}.log 2>&1 || "
                                        "{{ cat {}.log; false; }}",
                                        image(), image(), image())),
                      0);
    }

    TemporaryDirectory directory_;
};

TEST_F(ErofsImages, EveryKindWithItsMetadata) {
    TarEntry file = entry(EntryType::file, "bin/su", 04755);
    file.uid = 70'000;
    file.gid = 1'000'000;
    file.mtime = {1'600'000'000, 123'456'789};
    file.xattrs = {
        {"user.note", "x"},
        {"user.note", "the last one counts"},
        {"security.capability", std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)},
        {"trusted.mine", std::string(500, 'm')},
        {"system.posix_acl_access",
         std::string("\2\0\0\0\1\0\7\0\xff\xff\xff\xff\4\0\5\0\xff\xff\xff\xff"
                     "\x20\0\5\0\xff\xff\xff\xff",
                     28)},
        {"odd.namespace", "left out"}};
    TarEntry old = entry(EntryType::file, "old");
    old.mtime = {-2'000'000'000, 5};
    TarEntry device = entry(EntryType::block_device, "dev/disk", 0660);
    device.device_major = 259;
    device.device_minor = 70'000;
    TarEntry link = entry(EntryType::symlink, "sym", 0777);
    link.link = "/host/secret";
    link.uid = 7;
    link.mtime = {1'500'000'000, 1};
    link.xattrs = {{"user.none", "x"}, {"trusted.on-link", "y"}};
    TarEntry directory = entry(EntryType::directory, "d", 02770);
    directory.xattrs = {{"user.a", "b"}, {"trusted.overlay.redirect", "/etc"}};
    TarEntry again = entry(EntryType::directory, "d", 0711);
    again.xattrs = {{"user.c", "d"}};
    TarText text;
    text.directory("./", 0711).directory("bin", 01777).add(file, "content");
    text.hard_link("bin/su2", "/bin/su").hard_link("sym2", "sym").add(old, "o").add(link);
    text.directory("dev").add(device).add(entry(EntryType::fifo, "dev/fifo", 0600));
    text.add(directory).file("d/in", "x").add(again).file("implied/by/name", "x");
    compare(TarText().add(link).hard_link("sym2", "sym").finish());
    compare(text.finish());
}

TEST_F(ErofsImages, SizesAtTheEdgesOfBlocks) {
    TarText text;
    for (const std::size_t size : {0, 1, 1983, 1984, 1985, 2048, 4031, 4032, 4095, 4096, 4097, 8192,
                                   100'000, 300'000, 600'001}) {
        std::string content(size, '\0');
        for (std::size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 7 + size);
        text.file(fmt::format("f{}", size), content);
        TarEntry marked = entry(EntryType::file, fmt::format("x{}", size));
        marked.xattrs = {{"user.x", std::string(size % 1000, 'v')}};
        text.add(marked, content);
    }
    for (const std::size_t size : {1, 60, 1983, 1984, 1985, 4000, 4095})
        text.symlink(fmt::format("l{}", size), std::string(size, 't'));
    compare(text.finish());
}

TEST_F(ErofsImages, BigDirectoriesAndOddNames) {
    TarText text;
    text.directory("big");
    for (int i = 0; i < 1200; ++i)
        text.file(fmt::format("big/{}{}", std::string(static_cast<std::size_t>(i % 200), 'n'), i));
    for (const char* name : {"!", "-", "+a", ",", "a", "\xff\xfe", "caf\xe9", "new\nline", " ",
                             "\\", "...", ".a", "/x/.", "\x01"})
        text.file(name, name);
    text.file(std::string(255, 'n'), "longest");
    // Directories that fill blocks to the byte, and one more: "." and ".." take 27 bytes.
    for (const int names : {62, 63, 64, 127, 255, 256})
        for (int i = 0; i < names; ++i) text.file(fmt::format("full{}/{:020}", names, i));
    compare(text.finish());
}

TEST_F(ErofsImages, DeepPaths) {
    const std::string path = deep_path(40, 200);
    compare(TarText().file(path + "leaf", "deep").hard_link(path + "hard", path + "leaf").finish());
    EXPECT_OK(into_image(TarText().file(deep_path(8'000, 1) + "leaf", "x").finish(), layer()));
}

TEST_F(ErofsImages, SparseFilesKeepTheirHoles) {
    TarEntry sparse = entry(EntryType::file, "sparse");
    sparse.size = 100 << 20;
    sparse.extents = {{{0, 4}, {50 << 20, 2000}, {(50 << 20) + 5000, 100}, {100 << 20, 0}}};
    TarEntry hole = entry(EntryType::file, "hole");
    hole.size = 12'345;
    hole.extents.emplace();
    TarEntry dense = entry(EntryType::file, "dense");
    dense.size = 10'000;
    dense.extents = {{{1, 5000}, {5001, 4999}}};
    TarEntry scattered = entry(EntryType::file, "scattered");
    scattered.extents.emplace();
    for (std::uint64_t i = 0; i < 100; ++i) scattered.extents->push_back({i * 70'000, 3});
    scattered.size = 7'000'000;
    compare(TarText()
                .add(sparse, "head" + std::string(2100, 'm'))
                .add(hole)
                .add(dense, std::string(9999, 'd'))
                .add(scattered, std::string(300, 's'))
                .file("after", "it")
                .finish());
    EXPECT_LT(lstat_of(image()).st_blocks * 512, 4 << 20);
    const Fd mount = mounted();
    const Fd fd = sys::open_at(mount, "diff/sparse", O_RDONLY).value();
    EXPECT_EQ(::lseek(fd.raw(), 4 << 20, SEEK_DATA), 50 << 20) << "where a chunk begins";
    const Fd all_hole = sys::open_at(mount, "diff/hole", O_RDONLY).value();
    EXPECT_EQ(::lseek(all_hole.raw(), 0, SEEK_DATA), -1);
}

TEST_F(ErofsImages, SparseSizesBeyondADiskCostNothingOrAreRefused) {
    TarEntry sparse = entry(EntryType::file, "sparse");
    sparse.size = 1ULL << 43;
    sparse.extents = {{{0, 4}, {1ULL << 42, 4}}};
    ASSERT_OK(into_image(TarText().add(sparse, "headmidd").finish(), layer()));
    EXPECT_LT(lstat_of(image()).st_blocks * 512, 1 << 20);
    sparse.size = 1ULL << 60;
    EXPECT_FALSE(into_image(TarText().add(sparse, "headmidd").finish(), layer()));
}

TEST_F(ErofsImages, Whiteouts) {
    compare(whiteouts_archive());
    compare(whiteouts_beside_entries_archive());
}

TEST_F(ErofsImages, LaterEntriesReplaceEarlierOnesOfAnyKind) {
    compare(replacing_archive());
}

TEST_F(ErofsImages, SymlinksAsParents) {
    compare(symlinked_parents_archive());
    compare(replaced_directory_archive());
}

TEST_F(ErofsImages, WhatIsRefusedIsRefusedByBoth) {
    TarEntry bad_device = entry(EntryType::character_device, "dev");
    bad_device.device_major = 5000;
    TarEntry bad_acl = entry(EntryType::file, "acl");
    bad_acl.xattrs = {{"system.posix_acl_access", std::string("\2\0\0\0half", 8)}};
    const std::map<std::string, std::string> archives = {
        {"above the root", TarText().file("a/../../x", "evil").finish()},
        {"link above the root", TarText().hard_link("l", "../x").finish()},
        {"link to nothing", TarText().hard_link("l", "missing").finish()},
        {"link to the root", TarText().hard_link("l", "/").finish()},
        {"link to a directory", TarText().directory("d").hard_link("l", "d").finish()},
        {"link through a file", TarText().file("f").hard_link("l", "f/x").finish()},
        {"link into what it replaces",
         TarText().directory("d").file("d/x", "1").hard_link("d", "d/x").finish()},
        {"a file as parent", TarText().file("f", "x").file("f/child", "y").finish()},
        {"a whiteout without a name", TarText().file("a/.wh..").finish()},
        {"a symlink to nothing as parent",
         TarText().symlink("s", "/nowhere").file("s/x", "y").finish()},
        {"a symlink to itself", TarText().symlink("s", "s").file("s/x", "y").finish()},
        {"a link through symlinks to the outside",
         TarText().symlink("out", "../../..").hard_link("l", "out/etc/passwd").finish()},
        {"a root that is a file", TarText().file("./", "x").finish()},
        {"a long name", TarText().file(std::string(256, 'n'), "x").finish()},
        {"a long name of a parent", TarText().file(std::string(256, 'n') + "/x", "x").finish()},
        {"a long target", TarText().symlink("l", std::string(4096, 't')).finish()},
        {"an impossible ACL", TarText().add(bad_acl).finish()},
        {"half an archive", TarText().file("f", std::string(9000, 'x')).finish().substr(0, 5000)}};
    for (const auto& [what, tar] : archives) {
        SCOPED_TRACE(what);
        EXPECT_FALSE(into_image(tar, layer()));
        compare(tar);
    }
    EXPECT_ERROR(into_image(TarText().add(bad_device).finish(), layer()), ErrorKind::invalid);
}

TEST_F(ErofsImages, LimitsEndABomb) {
    UnpackPolicy policy = layer();
    policy.limits.entries = 3;
    compare(TarText().file("1/2/3/4", "x").finish(), policy);
    policy.limits = {.bytes = 1000};
    compare(TarText().file("a", std::string(600, 'x')).file("b", std::string(600, 'x')).finish(),
            policy);
    TarEntry marked = entry(EntryType::directory, "d");
    for (int i = 0; i < 100; ++i)
        marked.xattrs.emplace_back(fmt::format("user.{}", i), std::string(1000, 'v'));
    EXPECT_ERROR(into_image(TarText().add(marked).finish(), layer()), ErrorKind::invalid);
}

TEST_F(ErofsImages, AnyChangedByteOfTheSuperblockIsFound) {
    ASSERT_OK(into_image(TarText().file("a", "1").finish(), layer()));
    const Fd file = sys::open(image(), O_RDWR).value();
    for (const off_t at : {1024, 1030, 1040, 1060, 1100, 2000, 4095}) {
        char byte = 0;
        ASSERT_EQ(::pread(file.raw(), &byte, 1, at), 1);
        const char other = static_cast<char>(byte ^ 1);
        ASSERT_EQ(::pwrite(file.raw(), &other, 1, at), 1);
        EXPECT_FALSE(mount_erofs(image(), ErofsMount::detect)) << at;
        ASSERT_EQ(::pwrite(file.raw(), &byte, 1, at), 1);
    }
    EXPECT_OK(mount_erofs(image(), ErofsMount::detect));
}

}  // namespace
}  // namespace corten::storage
