// What every snapshot driver has to do. A new implementation adds itself at the end.
#include "support.hpp"

#include <storage/driver.hpp>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <fcntl.h>

#include <algorithm>
#include <stop_token>

namespace corten::storage {
namespace {

using namespace testing;

struct Implementation {
    std::string name;
    std::function<Result<std::unique_ptr<Driver>>(const std::string& root)> open;
    int most_layers = 128;
};

class DriverConformance : public ::testing::TestWithParam<Implementation> {
protected:
    void SetUp() override {
        auto opened = GetParam().open(root_ / "driver");
        SKIP_IF_UNSUPPORTED(opened);
        driver_ = std::move(*opened);
        if (GetParam().name == "overlay_by_layer") skip_on_old_kernels();
    }

    /// Before Linux 6.5 layers cannot be given one by one.
    void skip_on_old_kernels() {
        layer("probe", TarText().file("a", "a").finish());
        const auto mounted = driver_->mount({.layers = {"probe"}});
        if (!mounted && mounted.error().kind() == ErrorKind::unsupported)
            GTEST_SKIP() << mounted.error().message();
        ASSERT_OK(driver_->remove("probe"));
        ASSERT_OK(driver_->sweep({}));
    }

    void layer(const std::string& id, const std::string& tar) {
        StringSource source(tar);
        auto builder = driver_->begin_layer(id);
        ASSERT_OK(builder);
        ASSERT_OK((*builder)->unpack(source, {}, true));
    }
    Fd mount(const MountPlan& plan) {
        auto fd = driver_->mount(plan);
        EXPECT_OK(fd);
        return fd ? std::move(*fd) : Fd();
    }
    static std::string content(FdView root, const std::string& path) {
        const auto fd = sys::open_in_root(root, path, O_RDONLY);
        return fd ? sys::read_all(*fd).value_or("<unreadable>") : "<none>";
    }
    static void put(FdView root, const std::string& path, std::string_view text) {
        const auto fd = sys::open_in_root(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        ASSERT_OK(fd);
        ASSERT_OK(sys::write_all(*fd, text));
    }
    static std::vector<std::string> names(FdView root, const std::string& path) {
        const auto fd = sys::open_in_root(root, path, O_RDONLY | O_DIRECTORY);
        auto list = sys::list_directory(fmt::format("/proc/self/fd/{}", fd->raw())).value();
        std::ranges::sort(list);
        return list;
    }
    static std::string at(FdView root, std::string_view path) {
        return fmt::format("/proc/self/fd/{}/{}", root.raw(), path);
    }
    std::vector<std::string> changes(const MountPlan& plan) {
        const auto found = driver_->changes(plan);
        EXPECT_OK(found);
        std::vector<std::string> lines;
        for (const Change& change : *found)
            lines.push_back("CAD"[static_cast<int>(change.kind)] + change.path);
        return lines;
    }
    void two_layers() {
        layer("low", TarText()
                         .directory("etc")
                         .file("etc/a", "low a")
                         .file("etc/b", "low b")
                         .directory("dir")
                         .file("dir/1", "1")
                         .directory("dir/sub")
                         .file("dir/sub/2", "2")
                         .directory("clear")
                         .file("clear/old", "old")
                         .file("setuid", "x", 04755)
                         .finish());
        layer("high", TarText()
                          .file("etc/b", "high b")
                          .file("etc/.wh.a")
                          .file("etc/c", "c")
                          .directory("clear")
                          .file("clear/.wh..wh..opq")
                          .file("clear/new", "new")
                          .finish());
    }

    TemporaryDirectory root_;
    std::unique_ptr<Driver> driver_;
};

using Lines = std::vector<std::string>;

TEST_P(DriverConformance, PlacesAreWhereTheFilesLie) {
    layer("low", TarText().file("a", "a").finish());
    layer("top", TarText().file("b", "b").finish());
    ASSERT_OK(driver_->create_snapshot("snap"));
    const MountPlan plan{.layers = {"top", "low"}, .snapshot = "snap", .init_layer = true};
    put(mount(plan), "written", "text");
    const Places places = driver_->places(plan);
    ASSERT_EQ(places.lower.size(), 3u) << "the init layer and both others";
    for (const auto& path : places.lower) EXPECT_TRUE(sys::exists(path)) << path;
    EXPECT_TRUE(sys::exists(places.upper + "/written"));
    EXPECT_TRUE(sys::exists(places.work));
    const Places image = driver_->places({.layers = {"top", "low"}});
    EXPECT_EQ(image.lower, (std::vector{places.lower[1], places.lower[2]}));
    EXPECT_EQ(image.upper, "");
}

TEST_P(DriverConformance, LayersAreMergedAndReadOnly) {
    two_layers();
    const Fd root = mount({.layers = {"high", "low"}});
    EXPECT_EQ(names(root, "/etc"), (Lines{"b", "c"}));
    EXPECT_EQ(content(root, "/etc/b"), "high b");
    EXPECT_EQ(names(root, "/clear"), (Lines{"new"}));
    EXPECT_EQ(content(root, "/dir/sub/2"), "2");
    EXPECT_EQ(lstat_of(at(root, "setuid")).st_mode & 07777, 04755u);
    EXPECT_EQ(lstat_of(at(root, "setuid")).st_mtim.tv_sec, 1'700'000'000);
    EXPECT_EQ(::mkdir(at(root, "no").c_str(), 0755), -1);
    EXPECT_EQ(errno, EROFS);
}

TEST_P(DriverConformance, MountsAreInNoTable) {
    two_layers();
    const std::string before = testing::read("/proc/self/mountinfo");
    const Fd root = mount({.layers = {"low"}});
    const Fd none = mount({});
    EXPECT_TRUE(names(none, "/").empty());
    EXPECT_EQ(testing::read("/proc/self/mountinfo"), before);
}

TEST_P(DriverConformance, SnapshotsKeepChangesApart) {
    two_layers();
    ASSERT_OK(driver_->create_snapshot("s1"));
    ASSERT_OK(driver_->create_snapshot("s2"));
    const MountPlan one{.layers = {"high", "low"}, .snapshot = "s1"};
    const MountPlan two{.layers = {"high", "low"}, .snapshot = "s2"};
    {
        const Fd root = mount(one);
        put(root, "/etc/b", "mine");
        EXPECT_EQ(lstat_of(at(root, "")).st_mode & 07777, 0755u);
    }
    EXPECT_EQ(content(mount(one), "/etc/b"), "mine") << "a second mount sees it";
    EXPECT_EQ(content(mount(two), "/etc/b"), "high b");
    EXPECT_EQ(content(mount({.layers = {"high", "low"}}), "/etc/b"), "high b");
    MountPlan read_only = one;
    read_only.access = Access::read_only;
    EXPECT_EQ(::mkdir(at(mount(read_only), "no").c_str(), 0755), -1);
}

TEST_P(DriverConformance, ChangesAreDockers) {
    two_layers();
    ASSERT_OK(driver_->create_snapshot("s"));
    const MountPlan plan{.layers = {"high", "low"}, .snapshot = "s"};
    EXPECT_EQ(changes(plan), Lines{});
    const Fd root = mount(plan);
    put(root, "/etc/b", "changed");
    put(root, "/new", "x");
    EXPECT_EQ(::mkdir(at(root, "made").c_str(), 0755), 0);
    put(root, "/made/inside", "x");
    EXPECT_EQ(::unlink(at(root, "etc/c").c_str()), 0);
    EXPECT_EQ(shell("rm -r " + fmt::format("/proc/{}/fd/{}/dir", ::getpid(), root.raw())), 0);
    EXPECT_EQ(changes(plan),
              (Lines{"D/dir", "C/etc", "C/etc/b", "D/etc/c", "A/made", "A/made/inside", "A/new"}));
    // Made again: an opaque directory, in which what was there is deleted.
    EXPECT_EQ(::mkdir(at(root, "dir").c_str(), 0755), 0);
    put(root, "/dir/1", "1");
    const auto again = changes(plan);
    EXPECT_EQ(Lines(again.begin(), again.begin() + 3), (Lines{"C/dir", "C/dir/1", "D/dir/sub"}));
}

TEST_P(DriverConformance, ATouchedButEqualFileIsNoChange) {
    two_layers();
    ASSERT_OK(driver_->create_snapshot("s"));
    const MountPlan plan{.layers = {"high", "low"}, .snapshot = "s"};
    const Fd root = mount(plan);
    EXPECT_EQ(::chmod(at(root, "etc/b").c_str(), 0600), 0);
    EXPECT_EQ(changes(plan), (Lines{"C/etc", "C/etc/b"}));
    EXPECT_EQ(::chmod(at(root, "etc/b").c_str(), 0644), 0);
    EXPECT_EQ(changes(plan), Lines{});
}

TEST_P(DriverConformance, DiffIsALayer) {
    two_layers();
    ASSERT_OK(driver_->create_snapshot("s"));
    const MountPlan plan{.layers = {"high", "low"}, .snapshot = "s"};
    {
        const Fd root = mount(plan);
        put(root, "/etc/b", "changed");
        EXPECT_EQ(::unlink(at(root, "etc/c").c_str()), 0);
        EXPECT_EQ(shell(fmt::format("cd /proc/{}/fd/{} && rm -r dir && mkdir dir && echo x > dir/x "
                                    "&& ln dir/x dir/y && ln -s x dir/z && chmod 4711 dir/x",
                                    ::getpid(), root.raw())),
                  0);
        EXPECT_EQ(::setxattr(at(root, "dir/x").c_str(), "user.a", "b", 1, 0), 0);
    }
    std::string tar;
    StringSink sink(tar);
    ASSERT_OK(driver_->diff(plan, sink));
    layer("top", tar);
    const Fd root = mount({.layers = {"top", "high", "low"}});
    EXPECT_EQ(names(root, "/etc"), (Lines{"b"}));
    EXPECT_EQ(content(root, "/etc/b"), "changed");
    EXPECT_EQ(names(root, "/dir"), (Lines{"x", "y", "z"}));
    EXPECT_EQ(lstat_of(at(root, "dir/y")).st_nlink, 2u);
    EXPECT_EQ(lstat_of(at(root, "dir/x")).st_mode & 07777, 04711u);
    EXPECT_EQ(::getxattr(at(root, "dir/x").c_str(), "user.a", nullptr, 0), 1);
    std::string again;
    StringSink sink2(again);
    ASSERT_OK(driver_->diff(plan, sink2));
    EXPECT_EQ(again, tar) << "a diff is deterministic";
}

TEST_P(DriverConformance, InitLayerIsNoChangeAndIsShared) {
    layer("base", TarText().directory("etc", 0700).file("etc/hosts", "image's").finish());
    ASSERT_OK(driver_->create_snapshot("s"));
    ASSERT_OK(driver_->create_snapshot("t"));
    for (const char* id : {"s", "t"}) {
        const MountPlan plan{.layers = {"base"}, .snapshot = id, .init_layer = true};
        const Fd root = mount(plan);
        EXPECT_EQ(content(root, "/etc/hosts"), "image's");
        EXPECT_EQ(content(root, "/etc/resolv.conf"), "");
        EXPECT_EQ(content(root, "/dev/console"), "");
        EXPECT_EQ(lstat_of(at(root, "etc")).st_mode & 07777, 0700u);
        EXPECT_TRUE(S_ISLNK(lstat_of(at(root, "etc/mtab")).st_mode));
        EXPECT_EQ(changes(plan), Lines{});
    }
    const Fd scratch = mount({.snapshot = "t", .init_layer = true});
    EXPECT_TRUE(S_ISDIR(lstat_of(at(scratch, "proc")).st_mode));
}

TEST_P(DriverConformance, InitLayerStaysInsideAHostileImage) {
    TemporaryDirectory host;
    layer("evil", TarText()
                      .symlink("dev", host.path())
                      .symlink("etc", "../../../../.." + host.path())
                      .symlink("proc", "/nowhere")
                      .finish());
    ASSERT_OK(driver_->create_snapshot("s"));
    (void)driver_->mount({.layers = {"evil"}, .snapshot = "s", .init_layer = true});
    EXPECT_TRUE(sys::list_directory(host.path())->empty());
}

TEST_P(DriverConformance, ManyLayers) {
    MountPlan plan;
    for (int i = 0; i < GetParam().most_layers; ++i) {
        const std::string id = fmt::format("layer{:07}", i);
        layer(
            id,
            TarText().file(fmt::format("f{}", i), "x").file("same", fmt::format("{}", i)).finish());
        plan.layers.insert(plan.layers.begin(), id);
    }
    const auto count = plan.layers.size();
    EXPECT_EQ(content(mount(plan), "/same"), fmt::format("{}", count - 1));
    ASSERT_OK(driver_->create_snapshot("writable"));
    plan.snapshot = "writable";
    const Fd root = mount(plan);
    EXPECT_EQ(names(root, "/").size(), count + 1);
    put(root, "/f0", "written");
    EXPECT_EQ(changes(plan), Lines{"C/f0"});
}

TEST_P(DriverConformance, UsageCountsTheWritablePart) {
    layer("base", TarText().file("big", std::string(1 << 20, 'x')).finish());
    ASSERT_OK(driver_->create_snapshot("s"));
    const Fd root = mount({.layers = {"base"}, .snapshot = "s"});
    EXPECT_EQ(driver_->usage("s")->bytes, 0u);
    put(root, "/a", std::string(10'000, 'a'));
    EXPECT_EQ(::link(at(root, "a").c_str(), at(root, "b").c_str()), 0);
    const auto usage = driver_->usage("s");
    ASSERT_OK(usage);
    EXPECT_EQ(usage->bytes, 10'000u);
    EXPECT_EQ(usage->inodes, 2u);
    EXPECT_GE(usage->disk_bytes, 12'288u);
}

/// What a record says of a file must not depend on the symlink that the archive came by.
TEST_P(DriverConformance, TarIsReplayedWhereSymlinksWereInTheWay) {
    const std::string tar = TarText()
                                .directory("d")
                                .file("d/x", "first")
                                .symlink("way", "d")
                                .file("way/x", "second, by the other name")
                                .file("way/y", "third")
                                .file("d/y", "fourth")
                                .directory("other")
                                .file("way", "no symlink any more")
                                .symlink("again", "/other")
                                .file("again/z", "fifth")
                                .symlink("again", "d")
                                .file("again/z", "sixth")
                                .finish();
    layer("tricky", tar);
    std::string again;
    StringSink sink(again);
    ASSERT_OK(driver_->write_tar("tricky", sink));
    EXPECT_TRUE(again == tar);
    const Fd root = mount({.layers = {"tricky"}});
    EXPECT_EQ(content(root, "/d/x"), "second, by the other name");
    EXPECT_EQ(content(root, "/other/z"), "fifth");
    EXPECT_EQ(content(root, "/d/z"), "sixth");
}

TEST_P(DriverConformance, TarIsReplayed) {
    const std::string tar = TarText().directory("d").file("d/f", "content").file(".wh.x").finish();
    layer("base", tar);
    std::string again;
    StringSink sink(again);
    ASSERT_OK(driver_->write_tar("base", sink));
    EXPECT_EQ(again, tar);
}

TEST_P(DriverConformance, RemovalIsAtOnceAndSweptLater) {
    layer("base", TarText().directory("d/e/f", 0).file("d/e/f/g", "x").finish());
    ASSERT_OK(driver_->create_snapshot("s"));
    EXPECT_EQ(driver_->list()->size(), 2u);
    EXPECT_OK(driver_->remove("base"));
    EXPECT_OK(driver_->remove("base"));
    EXPECT_OK(driver_->remove("s"));
    EXPECT_TRUE(driver_->list()->empty());
    EXPECT_EQ(driver_->sweep({}).value_or(99), 2u);
    EXPECT_EQ(driver_->sweep({}).value_or(99), 0u);
}

TEST_P(DriverConformance, ASweepThatIsStoppedLeavesTheRestToTheNext) {
    layer("base", TarText().directory("d").file("d/f", "x").finish());
    ASSERT_OK(driver_->remove("base"));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(driver_->sweep(stop.get_token()).error().kind(), ErrorKind::cancelled);
    EXPECT_EQ(driver_->sweep({}).value_or(99), 1u);
}

TEST_P(DriverConformance, IdsAreNoPaths) {
    for (const char* id : {"", "..", "a/b", "../x", "A", "trash", "empty"}) {
        EXPECT_FALSE(driver_->create_snapshot(id));
        EXPECT_FALSE(driver_->begin_layer(id));
        EXPECT_FALSE(driver_->remove(id));
        EXPECT_FALSE(driver_->mount({.layers = {id}}));
    }
}

/// A disk of its own with so many files at most.
class SmallDisk {
public:
    SmallDisk(std::string path, int files) : path_(std::move(path)) {
        EXPECT_EQ(::mkdir(path_.c_str(), 0755), 0);
        const std::string options = fmt::format("nr_inodes={}", files);
        EXPECT_EQ(::mount("corten-test", path_.c_str(), "tmpfs", 0, options.c_str()), 0);
    }
    ~SmallDisk() { EXPECT_EQ(::umount2(path_.c_str(), MNT_DETACH), 0); }
    SmallDisk(const SmallDisk&) = delete;
    void fill() const {
        for (int i = 0;; ++i)
            if (!sys::open(fmt::format("{}/{}", path_, i), O_WRONLY | O_CREAT, 0600)) return;
    }

private:
    std::string path_;
};

TEST_P(DriverConformance, NothingIsMountedForWritingWhereNothingCanBeWritten) {
    const SmallDisk disk(root_ / "disk", 200);
    auto opened = GetParam().open(root_ / "disk/driver");
    SKIP_IF_UNSUPPORTED(opened);  // not every file system's files can be mounted
    driver_ = std::move(*opened);
    ASSERT_OK(driver_->create_snapshot("s1"));
    disk.fill();
    EXPECT_ERROR(driver_->mount({.layers = {}, .snapshot = "s1"}), ErrorKind::no_space);
    driver_.reset();
}

INSTANTIATE_TEST_SUITE_P(
    Drivers, DriverConformance,
    ::testing::Values(
        Implementation{"overlay_by_layer",
                       [](const std::string& root) {
                           return open_overlay_driver(root, OverlayMount::lowerdir_plus);
                       }},
        Implementation{"overlay_detected",
                       [](const std::string& root) {
                           return open_overlay_driver(root, OverlayMount::detect);
                       }},
        Implementation{"overlay_classic",
                       [](const std::string& root) {
                           return open_overlay_driver(root, OverlayMount::classic);
                       }},
        Implementation{
            "erofs_by_file",
            [](const std::string& root) { return open_erofs_driver(root, ErofsMount::file); }},
        // Each layer needs a device, which the host then keeps for good.
        Implementation{
            "erofs_by_loop",
            [](const std::string& root) { return open_erofs_driver(root, ErofsMount::loop); }, 4}),
    [](const auto& p) { return p.param.name; });

}  // namespace
}  // namespace corten::storage
