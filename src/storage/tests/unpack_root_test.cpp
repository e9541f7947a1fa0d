// The applier against hostile and odd archives. A directory beside the root stands for the host.
#include "archives.hpp"
#include "tree.hpp"
#include "unpack.hpp"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace corten::storage {
namespace {

using namespace testing;

class Unpack : public ::testing::Test {
protected:
    Unpack() {
        EXPECT_EQ(::mkdir(root().c_str(), 0755), 0);
        EXPECT_EQ(::mkdir((directory_ / "host").c_str(), 0755), 0);
        testing::write(directory_ / "host/secret", "secret");
        root_fd_ = sys::open(root(), O_PATH | O_DIRECTORY).value();
    }
    void TearDown() override {
        // Whatever was unpacked: nothing outside changed.
        EXPECT_EQ(testing::read(directory_ / "host/secret"), "secret");
        EXPECT_EQ(lstat_of(directory_ / "host/secret").st_nlink, 1u);
        EXPECT_EQ(sys::list_directory(directory_ / "host").value().size(), 1u);
        EXPECT_EQ(sys::list_directory(directory_.path()).value().size(), 2u);
    }
    Result<UnpackResult> unpack(std::string_view tar, UnpackPolicy policy = layer()) {
        PieceSource source(tar, 1000);
        TarReader reader(source);
        return unpack_tree(root_fd_, reader, policy);
    }
    static UnpackPolicy layer() {
        UnpackPolicy policy;
        policy.whiteouts = Whiteouts::overlay;
        return policy;
    }
    std::string root() const { return directory_ / "root"; }
    std::string in(std::string_view path) const { return root() + "/" + std::string(path); }
    std::string host() const { return directory_ / "host"; }
    bool opaque(std::string_view path) const {
        char value = 0;
        return ::lgetxattr(in(path).c_str(), opaque_xattr, &value, 1) == 1 && value == 'y';
    }

    TemporaryDirectory directory_;
    Fd root_fd_;
};

TEST_F(Unpack, EveryKindWithItsMetadata) {
    TarEntry file = entry(EntryType::file, "bin/su", 04755);
    file.uid = 5;
    file.gid = 6;
    file.mtime = {1'600'000'000, 123'456'789};
    file.xattrs = {{"user.note", "x"}};
    TarEntry device = entry(EntryType::character_device, "dev/null", 0666);
    device.device_major = 1;
    device.device_minor = 3;
    TarEntry link = entry(EntryType::symlink, "sym", 0777);
    link.link = "/host/secret";
    link.uid = 7;
    link.mtime = {1'500'000'000, 1};
    TarText text;
    text.directory("bin", 01777).add(file, "content").hard_link("bin/su2", "/bin/su").add(link);
    text.directory("dev").add(device).add(entry(EntryType::fifo, "dev/fifo", 0600));
    const auto result = unpack(text.finish());
    ASSERT_OK(result);
    EXPECT_EQ(result->entries, 7u);
    EXPECT_EQ(result->bytes, 7u);
    const auto su = lstat_of(in("bin/su"));
    EXPECT_EQ(su.st_mode, static_cast<mode_t>(S_IFREG | 04755));
    EXPECT_EQ(su.st_uid, 5u);
    EXPECT_EQ(su.st_gid, 6u);
    EXPECT_EQ(su.st_mtim.tv_nsec, 123'456'789);
    EXPECT_EQ(su.st_nlink, 2u);
    EXPECT_EQ(::getxattr(in("bin/su").c_str(), "user.note", nullptr, 0), 1);
    EXPECT_EQ(lstat_of(in("bin")).st_mode, static_cast<mode_t>(S_IFDIR | 01777));
    EXPECT_EQ(lstat_of(in("bin")).st_mtim.tv_sec, 1'700'000'000);
    EXPECT_EQ(lstat_of(in("sym")).st_uid, 7u);
    EXPECT_EQ(lstat_of(in("sym")).st_mtim.tv_sec, 1'500'000'000);
    EXPECT_EQ(lstat_of(in("dev/null")).st_rdev, makedev(1, 3));
    EXPECT_TRUE(S_ISFIFO(lstat_of(in("dev/fifo")).st_mode));
}

TEST_F(Unpack, FileCapabilitiesSurviveTheOwner) {
    TarEntry file = entry(EntryType::file, "ping", 0755);
    file.uid = 1000;
    // Version 2, effective, CAP_NET_RAW.
    file.xattrs = {
        {"security.capability", std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20)}};
    ASSERT_OK(unpack(TarText().add(file, "x").finish()));
    EXPECT_EQ(::getxattr(in("ping").c_str(), "security.capability", nullptr, 0), 20);
}

TEST_F(Unpack, AbsoluteAndDottedNamesStayInside) {
    ASSERT_OK(unpack(TarText()
                         .file("/etc/passwd", "a")
                         .file("./x/../y//z", "b")
                         .file("/../../up", "c")
                         .finish()));
    EXPECT_EQ(testing::read(in("etc/passwd")), "a");
    EXPECT_EQ(testing::read(in("y/z")), "b");
    EXPECT_EQ(testing::read(in("up")), "c");
}

TEST_F(Unpack, NamesAboveTheRootAreRefused) {
    for (const char* name : {"..", "../host/secret", "a/../../host/secret", "./../x"}) {
        EXPECT_ERROR(unpack(TarText().file(name, "evil").finish()), ErrorKind::corrupt);
        EXPECT_ERROR(unpack(TarText().directory(name).finish()), ErrorKind::corrupt);
        EXPECT_ERROR(unpack(TarText().hard_link("l", name).finish()), ErrorKind::corrupt);
    }
}

TEST_F(Unpack, SymlinksLeadNowhereButInside) {
    // As a parent, absolute and relative, and by way of a chain.
    for (const std::string& target :
         {host(), std::string("../host"), std::string("../../../..") + host()}) {
        const auto result =
            unpack(TarText().symlink("escape", target).file("escape/secret", "evil").finish());
        (void)result;  // may end in an error or in a file inside; TearDown looks at the host
        ASSERT_EQ(shell("rm -rf " + in("*")), 0);
    }
    ASSERT_OK(unpack(symlinked_parents_archive()));
    EXPECT_EQ(testing::read(in("usr/lib/a")), "1");
    EXPECT_EQ(testing::read(in("usr/lib/b")), "2");
    EXPECT_EQ(testing::read(in("usr/lib/c")), "3");
}

TEST_F(Unpack, AFileReplacesASymlinkAndDoesNotFollowIt) {
    ASSERT_OK(unpack(TarText()
                         .symlink("f", host() + "/secret")
                         .file("f", "new")
                         .symlink("d", host())
                         .directory("d")
                         .file("d/secret", "inside")
                         .finish()));
    EXPECT_TRUE(S_ISREG(lstat_of(in("f")).st_mode));
    EXPECT_EQ(testing::read(in("d/secret")), "inside");
}

TEST_F(Unpack, ACachedDirectoryIsForgottenWhenReplaced) {
    ASSERT_OK(unpack(replaced_directory_archive()));
    EXPECT_EQ(testing::read(in("b/2")), "2");
    EXPECT_EQ(testing::read(in("a/3")), "3");
    EXPECT_FALSE(present(in("a/1")));
}

TEST_F(Unpack, HardLinksOnlyInside) {
    const auto escape = unpack(TarText()
                                   .symlink("out", directory_.path())
                                   .hard_link("stolen", "out/host/secret")
                                   .finish());
    EXPECT_FALSE(escape);
    EXPECT_ERROR(unpack(TarText().hard_link("l", "missing").finish()), ErrorKind::corrupt);
    EXPECT_ERROR(unpack(TarText().hard_link("l", "/").finish()), ErrorKind::corrupt);
    // To a symlink: the link itself, not what it names.
    ASSERT_OK(unpack(TarText().symlink("s", host() + "/secret").hard_link("t", "s").finish()));
    EXPECT_TRUE(S_ISLNK(lstat_of(in("t")).st_mode));
    // To itself: nothing is lost.
    ASSERT_OK(unpack(TarText().file("self", "x").hard_link("self", "self").finish()));
    EXPECT_EQ(testing::read(in("self")), "x");
}

TEST_F(Unpack, LaterEntriesReplaceEarlierOnesOfAnyKind) {
    ASSERT_OK(unpack(replacing_archive()));
    EXPECT_EQ(testing::read(in("x")), "22");
    EXPECT_EQ(testing::read(in("y")), "now a file");
    EXPECT_EQ(testing::read(in("z/1")), "1");
    EXPECT_EQ(testing::read(in("k/1")), "kept");
    EXPECT_EQ(lstat_of(in("k")).st_mode & 07777, 0711u);
    EXPECT_EQ(lstat_of(in("l")).st_size, 1);
    EXPECT_EQ(testing::read(in("h")), "another");
    EXPECT_EQ(testing::read(in("self")), "1");
}

TEST_F(Unpack, Whiteouts) {
    ASSERT_OK(unpack(whiteouts_archive()));
    EXPECT_TRUE(is_whiteout(lstat_of(in("etc/gone"))));
    EXPECT_TRUE(opaque("cleared"));
    EXPECT_EQ(testing::read(in("cleared/new")), "n");
    EXPECT_FALSE(present(in(".wh..wh.aufs")));
}

TEST_F(Unpack, WhiteoutsAreAboutLayersBelow) {
    ASSERT_OK(unpack(whiteouts_beside_entries_archive()));
    EXPECT_TRUE(opaque("a"));
    EXPECT_TRUE(opaque("b"));
    EXPECT_TRUE(opaque("c"));
    EXPECT_EQ(testing::read(in("b/implied")), "2");
    EXPECT_EQ(testing::read(in("c/1")), "3");
    EXPECT_EQ(testing::read(in("d")), "4");
    EXPECT_EQ(testing::read(in("e")), "5");
}

TEST_F(Unpack, WhiteoutsWithoutANameAreRefused) {
    for (const char* name : {".wh.", ".wh..", ".wh...", "/.wh.", "a/.wh.."})
        EXPECT_ERROR(unpack(TarText().file(name).finish()), ErrorKind::corrupt);
}

TEST_F(Unpack, WhiteoutsArePlainNamesInAContainersTree) {
    ASSERT_OK(unpack(TarText().file(".wh.a", "x").finish(), UnpackPolicy{}));
    EXPECT_EQ(testing::read(in(".wh.a")), "x");
}

TEST_F(Unpack, OverlaysOwnMarksAreNotTheArchivesToSet) {
    TarEntry directory = entry(EntryType::directory, "d", 0755);
    directory.xattrs = {{"trusted.overlay.redirect", "/etc"}, {opaque_xattr, "y"}};
    ASSERT_OK(unpack(TarText().add(directory).finish()));
    EXPECT_EQ(::lgetxattr(in("d").c_str(), "trusted.overlay.redirect", nullptr, 0), -1);
    EXPECT_FALSE(opaque("d"));
}

TEST_F(Unpack, OddNames) {
    const std::string latin("caf\xe9");
    ASSERT_OK(unpack(TarText()
                         .file("new\nline", "1")
                         .file(latin, "2")
                         .file(" ", "3")
                         .file("\\", "4")
                         .file("proc/self/fd/0", "5")
                         .finish()));
    EXPECT_EQ(testing::read(in("new\nline")), "1");
    EXPECT_EQ(testing::read(in(latin)), "2");
    EXPECT_EQ(testing::read(in("proc/self/fd/0")), "5");
}

TEST_F(Unpack, PathsLongerThanTheKernelTakes) {
    std::string path = deep_path(40, 200);
    ASSERT_OK(unpack(TarText().file(path + "leaf", "deep").file(path + "leaf2", "too").finish()));
    ASSERT_OK(unpack(TarText().hard_link(path + "hard", path + "leaf").finish()));
    DirectoryCache directories(root_fd_);
    path.pop_back();
    const auto parent = directories.open(path, DirectoryCache::Missing::fail);
    ASSERT_OK(parent);
    const auto info = stat_at(*parent, "hard");
    ASSERT_OK(info);
    EXPECT_EQ((*info)->st_nlink, 2u);
    EXPECT_ERROR(unpack(TarText().file(std::string(300, 'n'), "x").finish()), ErrorKind::invalid);
}

TEST_F(Unpack, VeryDeepTreesNeedNoStack) {
    const std::string path = deep_path(8'000, 1);
    ASSERT_OK(unpack(TarText().file(path + "leaf", "x").finish()));
    EXPECT_OK(remove_at(root_fd_, "d"));
    EXPECT_FALSE(present(in("d")));
    EXPECT_ERROR(unpack(TarText().file(std::string(70'000, 'x'), "x").finish()),
                 ErrorKind::corrupt);
}

TEST_F(Unpack, SparseFilesKeepTheirHoles) {
    TarEntry sparse = entry(EntryType::file, "sparse");
    sparse.size = 100 << 20;
    sparse.extents = {{{0, 4}, {50 << 20, 2000}, {100 << 20, 0}}};
    ASSERT_OK(unpack(TarText().add(sparse, "head" + std::string(2000, 'm')).finish()));
    const auto info = lstat_of(in("sparse"));
    EXPECT_EQ(info.st_size, 100 << 20);
    EXPECT_LT(info.st_blocks * 512, 1 << 20);
    const Fd fd = sys::open(in("sparse"), O_RDONLY).value();
    std::string text(2002, '?');
    ASSERT_EQ(::pread(fd.raw(), text.data(), text.size(), (50 << 20) - 1), 2002);
    EXPECT_EQ(text, '\0' + std::string(2000, 'm') + '\0');
    ASSERT_EQ(::pread(fd.raw(), text.data(), 5, 0), 5);
    EXPECT_EQ(text.substr(0, 5), std::string("head\0", 5));
}

TEST_F(Unpack, LimitsEndABomb) {
    UnpackPolicy policy = layer();
    policy.limits.bytes = 1000;
    EXPECT_ERROR(
        unpack(TarText().file("a", std::string(600, 'x')).file("b", std::string(600, 'x')).finish(),
               policy),
        ErrorKind::invalid);
    policy.limits = {.entries = 3};
    EXPECT_ERROR(unpack(TarText().file("a").file("b").file("c").file("d").finish(), policy),
                 ErrorKind::invalid);
    // Directories that are only implied count too.
    EXPECT_ERROR(unpack(TarText().file("1/2/3/4/5/6").finish(), policy), ErrorKind::invalid);
}

TEST_F(Unpack, TheRootEntrySetsTheRoot) {
    ASSERT_OK(unpack(TarText().directory("./", 0711).finish()));
    EXPECT_EQ(lstat_of(root()).st_mode & 07777, 0711u);
    EXPECT_ERROR(unpack(TarText().file("./", "x").finish()), ErrorKind::corrupt);
    EXPECT_ERROR(unpack(TarText().symlink("/", host()).finish()), ErrorKind::corrupt);
}

TEST_F(Unpack, AFileIsNoParent) {
    EXPECT_FALSE(unpack(TarText().file("f", "x").file("f/child", "y").finish()));
    EXPECT_EQ(testing::read(in("f")), "x");
}

TEST_F(Unpack, UmaskAndSetgidParentsDoNotShowThrough) {
    const mode_t before = ::umask(077);
    ASSERT_OK(
        unpack(TarText().directory("g", 02777).file("g/f", "x", 0666).file("i/j", "x").finish()));
    ::umask(before);
    ASSERT_EQ(::chown(in("g").c_str(), 0, 55), 0);
    ASSERT_EQ(::chmod(in("g").c_str(), 02777), 0);
    ASSERT_OK(unpack(TarText().file("g/h", "x").directory("g/d").symlink("g/l", "x").finish()));
    EXPECT_EQ(lstat_of(in("g/f")).st_mode & 07777, 0666u);
    EXPECT_EQ(lstat_of(in("i")).st_mode & 07777, 0755u);
    for (const char* name : {"g/h", "g/d", "g/l"}) EXPECT_EQ(lstat_of(in(name)).st_gid, 0u) << name;
    EXPECT_EQ(lstat_of(in("g/d")).st_mode & 07777, 0755u);
}

TEST_F(Unpack, DockerCopyRules) {
    UnpackPolicy policy;
    policy.no_overwrite_dir_non_dir = true;
    policy.owner = Owner{1000, 1001};
    ASSERT_OK(unpack(TarText().directory("d").file("f", "1").finish(), policy));
    EXPECT_EQ(lstat_of(in("f")).st_uid, 1000u);
    EXPECT_EQ(lstat_of(in("d")).st_gid, 1001u);
    EXPECT_ERROR(unpack(TarText().file("d", "x").finish(), policy), ErrorKind::invalid);
    EXPECT_ERROR(unpack(TarText().directory("f").finish(), policy), ErrorKind::invalid);
    EXPECT_OK(unpack(TarText().directory("d").file("f", "2").finish(), policy));
}

TEST_F(Unpack, DevicesWithZeroNumbersAreWhiteoutsAtMost) {
    ASSERT_OK(unpack(TarText().add(entry(EntryType::character_device, "w", 0)).finish()));
    EXPECT_TRUE(is_whiteout(lstat_of(in("w"))));
}

TEST(CleanPath, Lexical) {
    EXPECT_EQ(clean_path("a//b/./c/"), "a/b/c");
    EXPECT_EQ(clean_path("a/../b"), "b");
    EXPECT_EQ(clean_path("/.."), "");
    EXPECT_EQ(clean_path("."), "");
    EXPECT_EQ(clean_path(".."), std::nullopt);
    EXPECT_EQ(clean_path("a/../.."), std::nullopt);
    EXPECT_EQ(clean_path("..."), "...");
}

}  // namespace
}  // namespace corten::storage
