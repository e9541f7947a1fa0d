// Layers in a whole store: record and replay, and the tree against GNU tar's.
#include "add_layer.hpp"
#include "support.hpp"
#include "tar_fields.hpp"

#include <storage/compression.hpp>

namespace corten::storage {
namespace {

using namespace testing;

class LayersOf {
protected:
    void open(std::string_view driver) {
        auto opened = Store::open(root_ / "data", {.driver = std::string(driver)});
        SKIP_IF_UNSUPPORTED(opened);
        store_ = std::move(*opened);
    }

    Result<Layer> apply(const std::string& parent, const std::string& tar) {
        PieceSource source(tar, 10'000);
        return add_layer(*store_, parent, source, sha256_digest(tar));
    }
    Result<std::string> written(const std::string& chain_id) {
        std::string tar;
        StringSink sink(tar);
        TRY(store_->layers().write_tar(chain_id, sink));
        return tar;
    }
    /// The directory of the layer's files, and what keeps it there.
    std::pair<std::string, Fd> files(const Layer& layer) {
        if (store_->driver().name() == overlay_driver_name)
            return {root_ / ("data/overlay/" + layer.cache_id + "/diff"), Fd()};
        Fd mount = store_->driver().mount({.layers = {layer.cache_id}}).value();
        return {fmt::format("/proc/{}/fd/{}/", ::getpid(), mount.raw()), std::move(mount)};
    }
    std::size_t directories() { return store_->driver().list().value().size(); }

    TemporaryDirectory root_;
    std::unique_ptr<Store> store_;
};

class Layers : public LayersOf, public ::testing::TestWithParam<std::string_view> {
protected:
    void SetUp() override { open(GetParam()); }
};

TEST_P(Layers, ApplyGivesChainIds) {
    const auto low = apply("", TarText().file("a", "1").finish());
    ASSERT_OK(low);
    EXPECT_EQ(low->chain_id, low->diff_id);
    const auto high = apply(low->chain_id, TarText().file("b", "22").finish());
    ASSERT_OK(high);
    EXPECT_EQ(high->chain_id, chain_id(low->chain_id, high->diff_id));
    EXPECT_EQ(high->size, 2u);
    const auto chain = store_->layers().chain(high->chain_id);
    ASSERT_OK(chain);
    ASSERT_EQ(chain->size(), 2u);
    EXPECT_EQ((*chain)[1].chain_id, low->chain_id);
}

TEST_P(Layers, WrongDiffIdLeavesNothing) {
    const std::string tar = TarText().file("a", "1").finish();
    StringSource source(tar);
    EXPECT_ERROR(add_layer(*store_, "", source, sha256_digest("other")), ErrorKind::corrupt);
    EXPECT_EQ(directories(), 0u);
    EXPECT_ERROR(apply("sha256:missing", tar), ErrorKind::not_found);
    EXPECT_EQ(directories(), 0u);
}

TEST_P(Layers, ManyDirectoriesKeepTheirTimes) {
    TarText tar;
    const std::string top(80, 't');
    for (int i = 0; i < 12'000; ++i) {  // the paths alone take more than a MiB
        TarEntry item = entry(EntryType::directory, fmt::format("{}/{}", top, i), 0755);
        item.mtime = {1'600'000'000 + i, static_cast<long>(i)};
        tar.add(item);
    }
    const auto made = apply("", tar.finish());
    ASSERT_OK(made);
    const auto [path, mount] = files(*made);
    for (const int i : {0, 1, 5'999, 11'999}) {
        const auto mtime = lstat_of(fmt::format("{}/{}/{}", path, top, i)).st_mtim;
        EXPECT_EQ(mtime.tv_sec, 1'600'000'000 + i);
        EXPECT_EQ(mtime.tv_nsec, i);
    }
}

TEST_P(Layers, TheSameLayerTwiceIsOne) {
    const std::string tar = TarText().file("a", "1").finish();
    ASSERT_OK(apply("", tar));
    ASSERT_OK(apply("", tar));
    EXPECT_EQ(directories(), 1u);
}

TEST_P(Layers, BrokenStreamsLeaveNothing) {
    const std::string tar = TarText().file("a", std::string(5000, 'x')).finish();
    StringSource source(std::string_view(tar).substr(0, 2000));
    EXPECT_ERROR(store_->layers().unpack(source), ErrorKind::corrupt);
    EXPECT_EQ(directories(), 0u);
}

TEST_P(Layers, ReplayIsExact) {
    TarEntry sparse = entry(EntryType::file, "sparse");
    sparse.size = 1 << 20;
    sparse.extents = {{{10, 5}, {1 << 19, 2000}}};
    TarText text;
    text.directory("./").file("dir/a", std::string(100'000, 'a')).file("empty");
    text.add(sparse, std::string(2005, 's')).symlink("dir2", "dir").file("dir2/through", "link");
    text.file(".wh.gone").file(".wh.odd", "a whiteout with content").hard_link("h", "dir/a");
    text.file(std::string(200, 'n'), "long").file("dir/.wh..wh..opq");
    const std::string tar = text.finish() + std::string(9000, '\0') + "trailing garbage";
    const auto layer = apply("", tar);
    ASSERT_OK(layer);
    EXPECT_EQ(written(layer->chain_id).value_or("error"), tar);
}

TEST_P(Layers, ReplayWithReplacedEntries) {
    const std::string tar = TarText()
                                .file("x", "first")
                                .file("x", "second")
                                .file("x", "third")
                                .directory("d")
                                .file("d/1", "one")
                                .file("d/2/3", "deep")
                                .file("d", "a file now")
                                .directory("d")
                                .file("d/1", "again")
                                .hard_link("h", "x")
                                .file("x", "fourth")
                                .finish();
    const auto layer = apply("", tar);
    ASSERT_OK(layer);
    EXPECT_EQ(written(layer->chain_id).value_or("error"), tar);
}

TEST_P(Layers, AChangedFileIsFoundOnReplay) {
    const auto layer = apply("", TarText().file("a", "good").finish());
    ASSERT_OK(layer);
    ASSERT_OK(store_->images().put({.config = "1", .chain_id = layer->chain_id}));
    ASSERT_TRUE(store_->check({})->problems.empty());
    ASSERT_EQ(shell(fmt::format("cd {}/{} && f=$(grep -rl good) && sed -i s/good/evil/ $f",
                                root_ / "data", store_->driver().name())),
              0);
    EXPECT_ERROR(written(layer->chain_id), ErrorKind::corrupt);
    EXPECT_EQ(store_->check({})->problems.size(), 1u);
}

TEST_P(Layers, WithoutARecordThereIsNoReplay) {
    const std::string tar = TarText().file("a", "1").finish();
    StringSource source(tar);
    const auto layer = add_layer(*store_, "", source, "", {.record = false});
    ASSERT_OK(layer);
    EXPECT_ERROR(written(layer->chain_id), ErrorKind::unsupported);
}

TEST_P(Layers, UnpackInAnyOrderThenCommit) {
    const std::string low = TarText().file("a", "1").finish();
    const std::string high = TarText().file("b", "2").finish();
    StringSource high_source(high), low_source(low);
    auto upper = store_->layers().unpack(high_source);
    auto lower = store_->layers().unpack(low_source);
    ASSERT_OK(upper);
    ASSERT_OK(lower);
    const auto first = store_->layers().commit(std::move(*lower), "", "");
    ASSERT_OK(first);
    EXPECT_OK(store_->layers().commit(std::move(*upper), first->chain_id, sha256_digest(high)));
}

INSTANTIATE_TEST_SUITE_P(Drivers, Layers, ::testing::Values(overlay_driver_name, erofs_driver_name),
                         [](const auto& p) { return std::string(p.param); });

/// Real trees, made and compared by GNU tar.
struct TarRun {
    const char* format;
    std::string_view driver;
};
class LayersAgainstTar : public LayersOf, public ::testing::TestWithParam<TarRun> {
protected:
    void SetUp() override { open(GetParam().driver); }
};

TEST_P(LayersAgainstTar, SameTreeAndSameBytes) {
    const std::string tree = root_ / "tree", tar = root_ / "tree.tar", theirs = root_ / "theirs";
    const std::string format = GetParam().format;
    ASSERT_EQ(shell(fmt::format(
                  "set -e; mkdir {0} {2}; cp -a /etc {0}/ "
                  "2>/dev/null || true; cd {0}; find . -type s -delete; "
                  "truncate -s 4M sparse; printf x | dd of=sparse bs=1 seek=2M conv=notrunc "
                  "status=none; mkfifo fifo; mknod dev c 1 7; ln etc/passwd hard; "
                  "[ {3} = ustar ] || touch \"$(printf 'a%.0s' $(seq 240))\"; "
                  "touch -d '1969-12-30 01:02:03' old; "
                  "[ {3} = ustar ] && touch old; "
                  "chmod 4755 fifo; mkdir ro; chmod 555 ro; "
                  "tar --format={3} --sparse --xattrs -cf {1} .; "
                  "tar -xpf {1} --xattrs --numeric-owner -C {2}",
                  tree, tar, theirs, format)),
              0);
    const std::string bytes = sys::read_file(tar, 1u << 30).value();
    const auto layer = apply("", bytes);
    ASSERT_OK(layer);
    EXPECT_TRUE(written(layer->chain_id).value_or("error") == bytes);
    const auto [ours, mount] = files(*layer);
    const std::string listing =
        "find . -mindepth 1 -printf '%p %y %m %U %G %s %T@ %l %n\\n' | "
        "sed -E 's/^(\\S+ d \\S+ \\S+ \\S+) [0-9]+/\\1/' | LC_ALL=C sort";
    EXPECT_EQ(shell(fmt::format("cd {0} && {2} > {3}.a; cd {1} && {2} > {3}.b; "
                                "diff {3}.a {3}.b | head -20 && cmp {3}.a {3}.b",
                                ours, theirs, listing, root_ / "list")),
              0);
    EXPECT_EQ(shell(fmt::format("diff -r --no-dereference -x fifo -x dev {} {}", ours, theirs)), 0);
    const Fd sparse = sys::open(ours + "/sparse", O_RDONLY).value();
    EXPECT_GE(::lseek(sparse.raw(), 0, SEEK_DATA), 1 << 20) << "its holes are left out";
}

INSTANTIATE_TEST_SUITE_P(Formats, LayersAgainstTar,
                         ::testing::Values(TarRun{"gnu", overlay_driver_name},
                                           TarRun{"pax", overlay_driver_name},
                                           TarRun{"pax", erofs_driver_name}),
                         [](const auto& p) {
                             return fmt::format("{}_{}", p.param.format, p.param.driver);
                         });

TEST(StorageDriver, IsWhatTheDataRootHasLayersOf) {
    const TemporaryDirectory root;
    const std::string tar = TarText().file("a", "1").finish();
    const auto open = [&](std::string driver) {
        return Store::open(root / "data", {.driver = std::move(driver)});
    };
    SKIP_IF_UNSUPPORTED(open("erofs"));
    EXPECT_ERROR(open("btrfs"), ErrorKind::invalid);
    EXPECT_EQ(open("").value()->driver().name(), overlay_driver_name);
    {
        const auto store = open("erofs").value();
        EXPECT_FALSE(present(root / "data/overlay")) << "an empty one makes room";
        StringSource source(tar);
        ASSERT_OK(add_layer(*store, "", source));
        ASSERT_OK(store->images().put({.config = "1", .chain_id = sha256_digest(tar)}));
    }
    EXPECT_ERROR(open("overlay"), ErrorKind::conflict);
    const auto store = open("").value();
    EXPECT_EQ(store->driver().name(), erofs_driver_name);
    EXPECT_OK(store->layers().get(sha256_digest(tar)));
}

}  // namespace
}  // namespace corten::storage
