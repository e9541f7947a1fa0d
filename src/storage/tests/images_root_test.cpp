#include "add_layer.hpp"
#include "schema.hpp"
#include "support.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>

namespace corten::storage {
namespace {

using namespace testing;

class Images : public ::testing::Test {
protected:
    Images() { reopen(); }
    void reopen() {
        store_.reset();
        auto opened = Store::open(root_ / "data");
        EXPECT_OK(opened);
        store_ = std::move(*opened);
    }
    ImageStore& images() { return store_->images(); }

    std::string layer(const std::string& parent, const std::string& name) {
        const std::string tar = TarText().file(name, name).finish();
        StringSource source(tar);
        const auto made = add_layer(*store_, parent, source);
        EXPECT_OK(made);
        return made->chain_id;
    }
    std::string image(const std::string& config, const std::string& chain,
                      const std::string& parent = "") {
        const auto id = images().put({.config = config, .parent = parent, .chain_id = chain});
        EXPECT_OK(id);
        return *id;
    }
    static ImageName by_name(const std::string& familiar) {
        return {"docker.io/library/" + familiar, "", familiar};
    }
    static ImageName by_id(const std::string& id) { return {"", id, id}; }
    std::vector<std::string> remove(const ImageName& name, const RemoveImageOptions& options = {}) {
        const auto items = images().remove(name, options);
        if (!items) return {items.error().message()};
        std::vector<std::string> lines;
        for (const RemovedItem& item : *items)
            lines.push_back((item.untagged ? "U " : "D ") + item.what);
        return lines;
    }
    void tag(const std::string& name, const std::string& id) {
        EXPECT_OK(images().tag("docker.io/library/" + name, id));
    }
    RemoveImageOptions used_by(const std::string& id, bool running, bool force = false) {
        return {.force = force, .users = [=](const std::string& asked) {
                    return asked == id ? std::vector<ImageUser>{{"0123456789abcdef", running}}
                                       : std::vector<ImageUser>();
                }};
    }

    std::vector<std::string> problems(const CheckOptions& options) {
        const auto report = store_->check(options);
        EXPECT_OK(report);
        std::vector<std::string> lines;
        for (const StoreProblem& problem : report->problems)
            lines.push_back(problem.what + (problem.mended ? ", mended" : ""));
        return lines;
    }

    TemporaryDirectory root_;
    std::unique_ptr<Store> store_;
};
using Lines = std::vector<std::string>;
const std::string prefix = "docker.io/library/";

TEST_F(Images, PutGetResolve) {
    const std::string low = layer("", "low"), top = layer(low, "top-layer");
    const std::string id = image("{\"a\":1}", top);
    EXPECT_EQ(id, sha256_digest("{\"a\":1}"));
    tag("x:1", id);
    EXPECT_OK(images().tag(prefix + "x@" + id, id));
    const auto found = images().get(id);
    ASSERT_OK(found);
    EXPECT_EQ(found->size, 12u);
    EXPECT_EQ(found->tags, Lines{prefix + "x:1"});
    EXPECT_EQ(found->digests, Lines{prefix + "x@" + id});
    EXPECT_GT(unix_seconds(found->last_tagged), 0);
    EXPECT_EQ(images().resolve(by_name("x:1"))->id, id);
    EXPECT_EQ(images().resolve(by_id(id))->id, id);
    EXPECT_EQ(images().resolve(by_id(id.substr(7, 12)))->id, id);
    EXPECT_FALSE(images().resolve(by_id(id.substr(7, 12)))->by_reference);
    for (const char* bad : {"", "zz", "sha256:", "*", "0000000000000000000000"})
        EXPECT_ERROR(images().resolve({"", bad, "nosuch"}), ErrorKind::not_found);
    const auto missing = images().resolve(by_name("nosuch:latest"));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().message(), "No such image: nosuch:latest");
}

TEST_F(Images, AmbiguousPrefix) {
    std::map<char, int> starts;
    for (int i = 0; i < 20; ++i) ++starts[image(fmt::format("{}", i), "")[7]];
    const auto twice = std::ranges::find_if(starts, [](auto& s) { return s.second > 1; });
    ASSERT_NE(twice, starts.end());
    EXPECT_ERROR(images().resolve(by_id(std::string(1, twice->first))), ErrorKind::invalid);
}

TEST_F(Images, TagMoves) {
    const std::string one = image("1", ""), two = image("2", "");
    tag("x:1", one);
    EXPECT_EQ(images().tag(prefix + "x:1", two).value_or("?"), one);
    EXPECT_TRUE(images().get(one)->tags.empty());
    EXPECT_ERROR(images().tag("t", "sha256:none"), ErrorKind::not_found);
}

TEST_F(Images, RemoveLastTagDeletesWithLayers) {
    const std::string low = layer("", "low"), top = layer(low, "top");
    const std::string id = image("1", top);
    tag("x:1", id);
    EXPECT_OK(images().tag(prefix + "x@sha256:abc", id));
    EXPECT_EQ(remove(by_name("x:1")), (Lines{"U " + prefix + "x:1", "U " + prefix + "x@sha256:abc",
                                             "D " + id, "D " + top, "D " + low}));
    EXPECT_TRUE(store_->driver().list()->empty());
    EXPECT_EQ(store_->sweep().value_or(0), 2u);
}

TEST_F(Images, SharedLayersStay) {
    const std::string low = layer("", "low"), top = layer(low, "top");
    const std::string one = image("1", top), two = image("2", low);
    tag("one:1", one);
    tag("two:1", two);
    const auto usage = images().usage();
    ASSERT_OK(usage);
    EXPECT_EQ(usage->at(0).shared, 3u);
    EXPECT_EQ(images().layers_size().value_or(0), 6u);
    EXPECT_EQ(remove(by_name("one:1")), (Lines{"U " + prefix + "one:1", "D " + one, "D " + top}));
    EXPECT_EQ(remove(by_name("two:1")), (Lines{"U " + prefix + "two:1", "D " + two, "D " + low}));
}

TEST_F(Images, OneOfSeveralTagsIsOnlyUntagged) {
    const std::string id = image("1", "");
    tag("x:1", id);
    tag("x:2", id);
    EXPECT_EQ(remove(by_name("x:1")), (Lines{"U " + prefix + "x:1"}));
    tag("y:1", id);
    EXPECT_EQ(remove(by_id(id)),
              (Lines{fmt::format("conflict: unable to delete {} (must be forced) - image is "
                                 "referenced in multiple repositories",
                                 id.substr(7, 12))}));
    EXPECT_EQ(remove(by_id(id), {.force = true}),
              (Lines{"U " + prefix + "x:2", "U " + prefix + "y:1", "D " + id}));
}

TEST_F(Images, ByIdWithOneTag) {
    const std::string id = image("1", "");
    tag("x:1", id);
    EXPECT_EQ(remove(by_id(id)), (Lines{"U " + prefix + "x:1", "D " + id}));
}

TEST_F(Images, UsedByContainers) {
    const std::string id = image("1", layer("", "low"));
    tag("x:1", id);
    const std::string shown = id.substr(7, 12);
    EXPECT_EQ(remove(by_name("x:1"), used_by(id, false)),
              (Lines{"conflict: unable to remove repository reference \"x:1\" (must force) - "
                     "container 0123456789ab is using its referenced image " +
                     shown}));
    EXPECT_EQ(remove(by_id(id), used_by(id, false)),
              (Lines{"conflict: unable to delete " + shown +
                     " (must be forced) - image is being "
                     "used by stopped container 0123456789ab"}));
    EXPECT_EQ(remove(by_id(id), used_by(id, true, true)),
              (Lines{"conflict: unable to delete " + shown +
                     " (cannot be forced) - image is being "
                     "used by running container 0123456789ab"}));
    // Forced by name while running: only the name goes.
    EXPECT_EQ(remove(by_name("x:1"), used_by(id, true, true)), (Lines{"U " + prefix + "x:1"}));
    EXPECT_OK(images().get(id));
}

TEST_F(Images, ASnapshotKeepsItsLayers) {
    const std::string low = layer("", "low");
    const std::string id = image("1", low);
    ASSERT_OK(store_->snapshots().prepare("c1", low));
    EXPECT_EQ(remove(by_id(id)), (Lines{"D " + id}));
    EXPECT_OK(store_->snapshots().mount("c1"));
    EXPECT_TRUE(images().collect_garbage()->layers.empty());
    ASSERT_OK(store_->snapshots().remove("c1"));
    EXPECT_EQ(images().collect_garbage()->layers, Lines{low});
}

TEST_F(Images, ChildrenAndParents) {
    const std::string low = layer("", "low"), top = layer(low, "top");
    const std::string parent = image("p", low), child = image("c", top, parent);
    tag("child:1", child);
    EXPECT_EQ(remove(by_id(parent)),
              (Lines{fmt::format("conflict: unable to delete {} (cannot be forced) - image has "
                                 "dependent child images",
                                 parent.substr(7, 12))}));
    EXPECT_EQ(remove(by_name("child:1")), (Lines{"U " + prefix + "child:1", "D " + child,
                                                 "D " + top, "D " + parent, "D " + low}));
}

TEST_F(Images, TaggedParentStays) {
    const std::string parent = image("p", ""), child = image("c", "", parent);
    tag("parent:1", parent);
    EXPECT_EQ(remove(by_id(child)), (Lines{"D " + child}));
    const std::string second = image("c2", "", parent);
    EXPECT_EQ(remove(by_name("parent:1")), (Lines{"U " + prefix + "parent:1"}));
    EXPECT_EQ(remove(by_id(second), {.prune_parents = false}), (Lines{"D " + second}));
    EXPECT_OK(images().get(parent));
}

TEST_F(Images, LeasesProtect) {
    std::string chain;
    {
        const auto lease = images().lease("pull");
        ASSERT_OK(lease);
        chain = layer("", "low");
        ASSERT_OK(const_cast<Lease&>(*lease).add_layer(chain));
        EXPECT_TRUE(images().collect_garbage()->layers.empty());
    }
    EXPECT_EQ(images().collect_garbage()->layers, Lines{chain});
}

TEST_F(Images, AFailedPullsLayersAreKeptForAWhile) {
    const std::string chain = layer("", "low");
    {
        auto lease = images().lease("pull").value();
        ASSERT_OK(lease.add_layer(chain));
        ASSERT_OK(lease.keep_for(std::chrono::hours(1)));
    }
    reopen();
    EXPECT_TRUE(images().collect_garbage()->layers.empty());
    ASSERT_OK(store_->db().execute("UPDATE lease SET expires = 1"));
    EXPECT_EQ(images().collect_garbage()->layers, Lines{chain});
}

TEST_F(Images, SnapshotCommitMakesALayer) {
    const std::string low = layer("", "low");
    ASSERT_OK(store_->snapshots().prepare("c1", low));
    EXPECT_ERROR(store_->snapshots().prepare("c1", low), ErrorKind::conflict);
    {
        const auto root = store_->snapshots().mount("c1");
        ASSERT_OK(root);
        const auto fd = sys::open_in_root(*root, "/made", O_WRONLY | O_CREAT, 0644);
        ASSERT_OK(fd);
        ASSERT_OK(sys::write_all(*fd, "by the container"));
    }
    EXPECT_EQ(store_->snapshots().usage("c1")->bytes, 16u);
    EXPECT_EQ(store_->snapshots().parent_size("c1").value_or(0), 3u);
    EXPECT_EQ(store_->snapshots().changes("c1")->size(), 1u);
    const auto written = produce([&](Sink& out) { return store_->snapshots().diff("c1", out); });
    const auto made = add_layer(*store_, low, *written);
    ASSERT_OK(made);
    EXPECT_EQ(made->parent, low);
    const auto root = store_->snapshots().mount_chain(made->chain_id);
    ASSERT_OK(root);
    EXPECT_OK(sys::open_in_root(*root, "/made", O_RDONLY));
    EXPECT_FALSE(sys::open_in_root(*root, "/dev/console", O_RDONLY)) << "no init layer in images";
}

TEST_F(Images, OneProcessPerRoot) {
    EXPECT_ERROR(Store::open(root_ / "data"), ErrorKind::conflict);
    EXPECT_EQ(lstat_of(root_ / "data").st_mode & 07777, 0700u);
}

TEST_F(Images, RecoveryRemovesWhatNobodyNames) {
    const std::string kept = layer("", "kept");
    ASSERT_OK(store_->snapshots().prepare("c1", kept));
    store_.reset();
    ASSERT_EQ(shell("mkdir -p " + (root_ / "data/overlay/orphan/diff/x")), 0);
    reopen();
    EXPECT_EQ(store_->driver().list()->size(), 2u);
    EXPECT_EQ(store_->sweep().value_or(0), 1u);
    EXPECT_TRUE(store_->check({})->problems.empty());
}

TEST_F(Images, CheckFindsAMissingLayer) {
    const std::string chain = layer("", "low");
    image("1", chain);
    ASSERT_OK(store_->driver().remove(store_->layers().get(chain)->cache_id));
    EXPECT_EQ(problems({.digests = false}), Lines{"layer " + chain});
}

TEST_F(Images, CheckFindsWhatNothingNeeds) {
    const std::string chain = layer("", "low");
    std::filesystem::create_directories(std::string(root_ / "data/overlay/stray/diff"));
    EXPECT_EQ(problems({}), (Lines{"directory stray", "layer " + chain}));
    EXPECT_EQ(problems({.repair = true}),
              (Lines{"directory stray, mended", "layer " + chain + ", mended"}));
    EXPECT_EQ(problems({}), Lines{});
    EXPECT_TRUE(store_->driver().list()->empty());
}

TEST_F(Images, RepairDropsABrokenLayerWithItsImages) {
    const std::string low = layer("", "low");
    const std::string above = image("1", layer(low, "high"));
    write(root_ / ("data/overlay/" + store_->layers().get(low)->cache_id + "/diff/low"), "?");
    ASSERT_OK(store_->snapshots().prepare("c", low));
    EXPECT_EQ(problems({.repair = true}), Lines{"layer " + low}) << "a container stands on it";
    ASSERT_OK(store_->images().get(above));
    ASSERT_OK(store_->snapshots().remove("c"));
    EXPECT_EQ(problems({.repair = true}), Lines{"layer " + low + ", mended"});
    EXPECT_EQ(problems({}), Lines{});
    EXPECT_TRUE(store_->images().list()->empty());
    EXPECT_TRUE(store_->layers().list()->empty());
}

TEST_F(Images, CheckComparesAnImagesLayersWithItsConfiguration) {
    const std::string low = layer("", "low"), other = layer("", "other");
    const std::string config = R"({"rootfs":{"diff_ids":[")" + low + R"("]}})";
    const std::string id = image(config, low);
    EXPECT_EQ(problems({}), Lines{"layer " + other});
    ASSERT_OK(store_->db().execute("UPDATE image SET chain_id = ?", {other}));
    EXPECT_EQ(problems({}), (Lines{"image " + id, "layer " + low}));
    EXPECT_EQ(problems({.repair = true}).size(), 3u) << "the image, and its layers with it";
    EXPECT_EQ(problems({}), Lines{});
    EXPECT_TRUE(store_->layers().list()->empty());
}

TEST_F(Images, CheckMendsTheLengthOfATar) {
    const std::string chain = layer("", "low");
    image("1", chain);
    const auto length = store_->layers().get(chain)->tar_size;
    ASSERT_TRUE(length);
    ASSERT_OK(store_->layers().set_tar_size(chain, 7));
    EXPECT_EQ(problems({}), Lines{"layer " + chain});
    EXPECT_EQ(problems({.repair = true}), Lines{"layer " + chain + ", mended"});
    EXPECT_EQ(store_->layers().get(chain)->tar_size, length);
    ASSERT_OK(store_->db().execute("UPDATE layer SET tar_size = NULL"));
    EXPECT_EQ(problems({}), Lines{}) << "an older store does not know it";
    EXPECT_EQ(store_->layers().tar_size(chain).value(), *length);
    EXPECT_EQ(store_->layers().get(chain)->tar_size, length);
}

/// Lets the process open no more than `more` further descriptors.
class FewDescriptors {
public:
    explicit FewDescriptors(rlim_t more) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const Fd next(::dup(0));
        rlimit few = before_;
        few.rlim_cur = static_cast<rlim_t>(next.raw()) + more;
        ::setrlimit(RLIMIT_NOFILE, &few);
    }
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

TEST_F(Images, RepairDropsNoLayerThatCannotBeReadNow) {
    const std::string chain = layer("", "low");
    const std::string id = image("1", chain);
    {
        const FewDescriptors few(2);  // enough to list what is there
        EXPECT_EQ(problems({.repair = true}), Lines{"layer " + chain});
    }
    EXPECT_EQ(problems({}), Lines{});
    EXPECT_OK(images().get(id));
}

TEST_F(Images, RepairDropsWhatHasAnotherDigest) {
    const std::string id = image("1", "");
    ASSERT_OK(store_->db().execute("UPDATE image SET config = 'other' WHERE id = ?", {id}));
    const std::string blob = store_->blobs().put("hello").value();
    write(root_ / ("data/blobs/sha256/" + blob.substr(7)), "hullo");
    EXPECT_EQ(problems({}), (Lines{"image " + id, "blob " + blob}));
    EXPECT_EQ(problems({.repair = true}),
              (Lines{"image " + id + ", mended", "blob " + blob + ", mended"}));
    EXPECT_EQ(problems({}), Lines{});
}

TEST_F(Images, RepairGivesAContainerAnEmptyLayerForALostOne) {
    const std::string chain = layer("", "low");
    image("1", chain);
    ASSERT_OK(store_->snapshots().prepare("c", chain));
    const auto cache_id = store_->db().first<std::string>(
        "SELECT cache_id FROM snapshot", {}, [](const Row& row) { return row.text(0); });
    ASSERT_OK(cache_id);
    ASSERT_OK(store_->driver().remove(**cache_id));
    EXPECT_EQ(problems({.repair = true}), Lines{"snapshot c, mended"});
    EXPECT_EQ(problems({}), Lines{});
    ASSERT_OK(store_->snapshots().remove("c"));
}

TEST_F(Images, AnIndexLivesAsLongAsItsLastName) {
    const std::string host = image("host", layer("", "host"));
    const std::string other = image("other", layer("", "other"));
    const std::string content = R"({"manifests":[]})";
    const std::string digest = sha256_digest(content);
    ASSERT_OK(store_->indexes().put(
        {.digest = digest,
         .media_type = "index",
         .content = content,
         .images = {{sha256_digest("a"), "a", host}, {sha256_digest("b"), "b", other}}}));
    ASSERT_OK(images().tag("docker.io/library/app:1", host, digest));
    ASSERT_OK(images().tag("docker.io/library/app:2", other, digest));
    EXPECT_EQ(images().resolve(by_name("app:1"))->index, digest);
    EXPECT_TRUE(images().get(other)->in_index);
    EXPECT_EQ(problems({}), Lines{});
    EXPECT_EQ(remove(by_name("app:1")), Lines{"U docker.io/library/app:1"});
    EXPECT_EQ(remove(by_name("app:2"), used_by(host, true)).size(), 1U) << "refused";
    const auto gone = remove(by_name("app:2"));
    EXPECT_TRUE(std::ranges::count(gone, "D " + host) == 1);
    EXPECT_TRUE(std::ranges::count(gone, "D " + other) == 1);
    EXPECT_EQ(store_->indexes().list()->size(), 0U);
}

TEST_F(Images, NamesOfAnOlderStoreStandForSingleImages) {
    const std::string data = root_ / "old";
    ASSERT_OK(sys::make_directories(data, 0700));
    const std::string id = sha256_digest("config");
    {
        const auto db = Database::open(data + "/corten.db").value();
        ASSERT_OK(db->migrate("storage", std::span(storage_schema).first(2)));
        ASSERT_OK(
            db->execute("INSERT INTO image(id, config, manifest, manifest_digest, media_type, "
                        "parent, created, last_tagged) VALUES(?, 'config', '', '', '', '', 0, 0)",
                        {id}));
        ASSERT_OK(db->execute("INSERT INTO reference(name, image) VALUES('old:1', ?)", {id}));
    }
    const auto store = Store::open(data).value();
    const auto found = store->images().resolve({"old:1", "", "old:1"});
    ASSERT_OK(found);
    EXPECT_EQ(found->id, id);
    EXPECT_EQ(found->index, "");
    EXPECT_EQ(store->check({})->problems.size(), 0U);
}

/// Works on a store until it is killed.
[[noreturn]] void work(const std::string& root) {
    auto store = Store::open(root).value();
    for (int i = 0;; ++i) {
        const std::string tar = TarText().file("f", fmt::format("{}", i)).file("g", "x").finish();
        StringSource source(tar);
        auto lease = std::make_unique<Lease>(store->images().lease("test").value());
        auto pending = store->layers().unpack(source, {});
        if (!pending) ::_exit(1);
        const auto layer = store->images().commit_layer(*std::move(pending), "", "", *lease);
        if (!layer) ::_exit(1);
        const auto id = store->images().put({.config = tar, .chain_id = layer->chain_id});
        lease.reset();
        if (!id || !store->images().tag("t:1", *id)) ::_exit(1);
        if (!store->snapshots().prepare("c", layer->chain_id)) ::_exit(1);
        (void)store->blobs().put(tar);
        if (!store->snapshots().remove("c")) ::_exit(1);
        if (!store->images().remove({"t:1", "", "t:1"}, {.force = true})) ::_exit(1);
        if (i % 4 == 0) (void)store->sweep();
    }
}

TEST_F(Images, KilledAtAnyPointNothingIsLostOrOrphaned) {
    store_.reset();
    for (int round = 0; round < 40; ++round) {
        const pid_t child = ::fork();
        if (child == 0) work(root_ / "data");
        ::usleep(static_cast<useconds_t>(5'000 + round * 1'700));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "the work failed in round " << round;
        reopen();
        const auto report = store_->check({});
        ASSERT_OK(report);
        for (const auto& problem : report->problems)
            ADD_FAILURE() << problem.what << ": " << problem.found;
        // Every directory has a row, and the repeated work must end well.
        const auto rows = store_->db().integer(
            "SELECT (SELECT count(*) FROM layer) + (SELECT count(*) FROM snapshot)");
        ASSERT_OK(rows);
        EXPECT_EQ(static_cast<std::int64_t>(store_->driver().list()->size()), *rows);
        ASSERT_OK(store_->snapshots().remove("c"));
        store_.reset();
    }
}

}  // namespace
}  // namespace corten::storage
