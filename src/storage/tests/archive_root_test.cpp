// docker cp: archives from and into a tree, by descriptor.
#include "support.hpp"

#include <storage/archive.hpp>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

namespace corten::storage {
namespace {

using namespace testing;

class Archive : public ::testing::Test {
protected:
    Archive() {
        EXPECT_EQ(
            shell("cd " + root_.path() +
                  " && mkdir -p etc/sub usr/lib && echo pw > etc/passwd && echo x > etc/sub/x "
                  "&& ln -s etc link && ln -s /etc/passwd etc/abs && ln -s nowhere dangling "
                  "&& ln -s /usr/lib lib && echo so > usr/lib/so && ln etc/passwd etc/hard"),
            0);
    }
    std::vector<std::string> names(const std::string& path) {
        std::string tar;
        StringSink sink(tar);
        const auto result = tar_from(root_.fd(), path, sink);
        EXPECT_OK(result);
        StringSource source(tar);
        TarReader reader(source);
        std::vector<std::string> found;
        while (const TarEntry* item = reader.next().value_or(nullptr)) found.push_back(item->name);
        return found;
    }
    TemporaryDirectory root_;
};
using Names = std::vector<std::string>;

TEST_F(Archive, NamesAreAsDockers) {
    EXPECT_EQ(names("/etc/passwd"), (Names{"passwd"}));
    EXPECT_EQ(names("etc/passwd"), (Names{"passwd"}));
    const Names etc{"etc/", "etc/abs", "etc/hard", "etc/passwd", "etc/sub/", "etc/sub/x"};
    EXPECT_EQ(names("/etc"), etc);
    EXPECT_EQ(names("/etc/"), etc);
    EXPECT_EQ(names("/etc/sub/."), (Names{"./", "./x"}));
    EXPECT_EQ(names("/link"), (Names{"link"}));
    EXPECT_EQ(names("/link/").front(), "link/");
    EXPECT_EQ(names("/").front(), "/");
    EXPECT_EQ(names("/")[1], "/dangling");
    EXPECT_EQ(names("/lib/so"), (Names{"so"}));
}

TEST_F(Archive, MissingThings) {
    std::string tar;
    StringSink sink(tar);
    EXPECT_ERROR(tar_from(root_.fd(), "/missing", sink), ErrorKind::not_found);
    EXPECT_FALSE(tar_from(root_.fd(), "/etc/passwd/", sink));
    EXPECT_ERROR(stat_in(root_.fd(), "/missing"), ErrorKind::not_found);
    StringSource source("");
    EXPECT_ERROR(untar_into(root_.fd(), "/missing", source), ErrorKind::not_found);
    EXPECT_ERROR(untar_into(root_.fd(), "/etc/passwd", source), ErrorKind::invalid);
}

TEST_F(Archive, Stat) {
    const auto file = stat_in(root_.fd(), "/etc/passwd");
    ASSERT_OK(file);
    EXPECT_EQ(file->name, "passwd");
    EXPECT_EQ(file->size, 3u);
    EXPECT_EQ(go_file_mode(file->mode), 0644u);
    const auto link = stat_in(root_.fd(), "/etc/abs");
    ASSERT_OK(link);
    EXPECT_EQ(link->link_target, "/etc/passwd");
    EXPECT_EQ(go_file_mode(link->mode) >> 27, 1u);
    EXPECT_EQ(stat_in(root_.fd(), "/lib")->link_target, "/usr/lib");
    EXPECT_EQ(stat_in(root_.fd(), "/dangling")->link_target, "/nowhere");
    EXPECT_EQ(stat_in(root_.fd(), "/")->name, "/");
    EXPECT_EQ(go_file_mode(stat_in(root_.fd(), "/link/")->mode), 0x80000000u | 0755u);
}

TEST_F(Archive, IntoADirectoryThroughItsSymlink) {
    const std::string tar = TarText().file("new", "n").symlink("s", "../../../etc/passwd").finish();
    StringSource source(tar);
    ASSERT_OK(untar_into(root_.fd(), "/lib", source));
    EXPECT_EQ(testing::read(root_ / "usr/lib/new"), "n");
}

TEST_F(Archive, RoundTripKeepsWhatATarCan) {
    ASSERT_EQ(shell("cd " + root_.path() +
                    "/etc && chmod 4755 passwd && mkfifo p && mknod n c 1 3 && "
                    "truncate -s 1M sparse && echo end >> sparse && touch -d @1234567890 sub/x"),
              0);
    ASSERT_EQ(::setxattr((root_ / "etc/sub").c_str(), "user.k", "v", 1, 0), 0);
    std::string tar;
    StringSink sink(tar);
    ASSERT_OK(tar_from(root_.fd(), "/etc", sink));
    TemporaryDirectory copy;
    StringSource source(tar);
    ASSERT_OK(untar_into(copy.fd(), "/", source));
    EXPECT_EQ(lstat_of(copy / "etc/passwd").st_mode & 07777, 04755u);
    EXPECT_EQ(lstat_of(copy / "etc/hard").st_nlink, 2u);
    EXPECT_EQ(lstat_of(copy / "etc/sub/x").st_mtim.tv_sec, 1234567890);
    EXPECT_EQ(::getxattr((copy / "etc/sub").c_str(), "user.k", nullptr, 0), 1);
    EXPECT_LT(lstat_of(copy / "etc/sparse").st_blocks, 100);
    EXPECT_EQ(shell(fmt::format("cmp {} {}", root_ / "etc/sparse", copy / "etc/sparse")), 0);
    // And GNU tar reads the same.
    testing::write(copy / "t.tar", tar);
    ASSERT_EQ(shell(fmt::format("mkdir {0}/gnu && tar -xpf {0}/t.tar -C {0}/gnu && "
                                "diff -r --no-dereference {0}/etc/sub {0}/gnu/etc/sub && "
                                "cmp {0}/etc/sparse {0}/gnu/etc/sparse",
                                copy.path())),
              0);
}

TEST_F(Archive, ExportHasNoRootEntryAndCanLeaveOut) {
    std::string tar;
    StringSink sink(tar);
    TarOptions options;
    options.exclude = [](std::string_view path) { return path == "etc/sub"; };
    ASSERT_OK(tar_tree(root_.fd(), sink, options));
    StringSource source(tar);
    TarReader reader(source);
    std::vector<std::string> found;
    while (const TarEntry* item = reader.next().value_or(nullptr)) found.push_back(item->name);
    EXPECT_EQ(found.front(), "dangling");
    EXPECT_EQ(std::ranges::count(found, "etc/sub/"), 0);
    EXPECT_EQ(std::ranges::count(found, "etc/sub/x"), 0);
}

// CVE-2018-15664 and its kin: while we copy, the container swaps a directory for a symlink to the
// host. Whatever is read must come from inside.
TEST_F(Archive, ASwappedSymlinkNeverLeadsOut) {
    TemporaryDirectory host;
    testing::write(host / "only-on-host", "secret");
    ASSERT_EQ(shell(fmt::format("ln -s {} {}", host.path(), root_ / "evil")), 0);
    std::atomic<bool> stop = false;
    std::thread attacker([&] {
        while (!stop)
            (void)::renameat2(AT_FDCWD, (root_ / "etc").c_str(), AT_FDCWD, (root_ / "evil").c_str(),
                              RENAME_EXCHANGE);
    });
    const std::string payload = TarText().file("sub/x", "written").finish();
    for (int i = 0; i < 300; ++i) {
        std::string tar;
        StringSink sink(tar);
        (void)tar_from(root_.fd(), "/etc/", sink);
        EXPECT_EQ(tar.find("only-on-host"), std::string::npos);
        StringSource source(payload);
        (void)untar_into(root_.fd(), "/etc", source);
    }
    stop = true;
    attacker.join();
    EXPECT_EQ(sys::list_directory(host.path())->size(), 1u);
}

}  // namespace
}  // namespace corten::storage
