#include "image_fixture.hpp"
#include "records.hpp"

#include <image/archive.hpp>
#include <image/builder.hpp>

namespace corten::image {

namespace {

class ArchiveTest : public StoreTest {
protected:
    static ByteSource reading(const std::string& bytes) {
        return [rest = std::string_view(bytes)](
                   std::span<char> buffer) mutable -> Result<std::size_t> {
            const std::size_t n = std::min(rest.size(), buffer.size());
            std::ranges::copy(rest.substr(0, n), buffer.begin());
            rest.remove_prefix(n);
            return n;
        };
    }
    std::string import(const std::string& name, const std::map<std::string, std::string>& files) {
        const std::string tar = make_tar(files);
        const auto id = import_image(
            *store_, reading(tar),
            {.reference = Reference::parse(name)->canonical(), .changes = {"CMD [\"sh\"]"}});
        EXPECT_TRUE(id) << id.error().message();
        return *id;
    }
    std::string saved(const std::vector<std::string>& names) {
        std::string archive;
        const auto result = save(*store_, names, {}, [&](std::string_view bytes) -> Result<void> {
            archive += bytes;
            return {};
        });
        EXPECT_TRUE(result) << result.error().message();
        return archive;
    }
    /// The stream lines, or the error.
    std::string loaded(const std::string& archive) {
        std::string lines;
        const auto result =
            load(*store_, reading(archive), [&](const Progress& event) { lines += event.stream; });
        return result ? lines : "error: " + result.error().message();
    }
    void forget(const std::string& id) {
        ASSERT_TRUE(
            store_->images().remove({.reference = "", .id_prefix = id.substr(7), .display = id},
                                    {.force = true, .users = {}}));
        ASSERT_TRUE(store_->images().collect_garbage());
        ASSERT_TRUE(store_->sweep());
    }
};

}  // namespace

TEST_F(ArchiveTest, SavedAndLoadedIsTheSame) {
    const auto id = import("app:1", {{"a", "one"}, {"b", std::string(70'000, 'x')}});
    const auto archive = saved({"app:1"});
    EXPECT_TRUE(archive.contains("\"RepoTags\":[\"app:1\"]"));
    forget(id);
    expect_layers(0);
    EXPECT_EQ(loaded(archive), "Loaded image: app:1\n");
    EXPECT_TRUE(store_->images().get(id));
    EXPECT_EQ(loaded(compress(archive, storage::Compression::gzip)), "Loaded image: app:1\n");
    expect_layers(1);
    EXPECT_EQ(saved({id}).size() > 70'000, true);
    for (const auto& name : sys::list_directory(store_->root()).value())
        EXPECT_FALSE(name.starts_with("load-")) << name;
}

TEST_F(ArchiveTest, AnImageThatIsRemovedWhileItIsSavedIsSavedWhole) {
    const auto id = import("app:1", {{"a", "one"}, {"b", std::string(3 << 20, 'x')}});
    const auto whole = saved({"app:1"});
    std::string archive;
    ASSERT_TRUE(save(*store_, {"app:1"}, {}, [&](std::string_view bytes) -> Result<void> {
        if (archive.empty()) forget(id);
        archive += bytes;
        return {};
    }));
    EXPECT_EQ(archive, whole);
    ASSERT_TRUE(store_->images().collect_garbage());
    expect_layers(0);
}

TEST_F(ArchiveTest, WhatIsRememberedOfALayerGoesWithIt) {
    const auto id = import("app:1", {{"a", "one"}});
    const auto diff_id = store_->layers().list().value().at(0).diff_id;
    auto records = Records::open(store_->db()).value();
    ASSERT_TRUE(records.add_origin(diff_id, {.repository = "r", .digest = "d"}));
    ASSERT_TRUE(records.add_origin("sha256:gone", {.repository = "r", .digest = "d"}));
    EXPECT_EQ(records.origins(diff_id).value().size(), 1u);
    EXPECT_EQ(records.origins("sha256:gone").value().size(), 0u);
    forget(id);
    EXPECT_EQ(records.origins(diff_id).value().size(), 0u);
}

TEST_F(ArchiveTest, SeveralImagesAndNames) {
    import("app:1", {{"a", "1"}});
    const auto second = import("app:2", {{"a", "2"}});
    ASSERT_TRUE(store_->images().tag("docker.io/library/other:x", second));
    const auto archive = saved({"app", "other:x"});
    EXPECT_TRUE(archive.contains("\"RepoTags\":[\"app:2\",\"other:x\"]")) << archive;
    EXPECT_FALSE(save(*store_, {"none"}, {}, [](std::string_view) { return Result<void>(); }));
}

TEST_F(ArchiveTest, ATakenNameIsTakenOver) {
    const auto old = import("app:1", {{"a", "1"}});
    const auto archive = saved({"app:1"});
    forget(old);
    const auto newer = import("app:1", {{"a", "2"}});
    EXPECT_EQ(loaded(archive), fmt::format("The image app:1 already exists, renaming the old one "
                                           "with ID {} to empty string\nLoaded image: app:1\n",
                                           newer));
}

TEST_F(ArchiveTest, TheOldDockerFormat) {
    const std::string layer = make_tar({{"x", "y"}});
    oci::Image image{.architecture = "amd64", .os = "linux"};
    image.rootfs.diff_ids = {storage::sha256_digest(layer)};
    const std::string manifest =
        R"([{"Config":"c.json","RepoTags":["old:1"],"Layers":["abc/layer.tar"]}])";
    EXPECT_EQ(loaded(make_tar({{"./abc/layer.tar", layer},
                               {"abc/VERSION", "1.0"},
                               {"c.json", dump_json(to_json(image))},
                               {"manifest.json", manifest}})),
              "Loaded image: old:1\n");
}

TEST_F(ArchiveTest, AnOciLayout) {
    TestImage image;
    image.manifest.media_type = oci::media::oci_manifest;
    image.add_layer({{"a", "b"}});
    image.finish();
    std::map<std::string, std::string> files;
    const auto entry = image.add_blob(oci::media::oci_manifest, image.manifest_text());
    for (const auto& [digest, bytes] : image.blobs)
        files["blobs/sha256/" + digest.substr(7)] = bytes;
    oci::Index index{.media_type = std::string(oci::media::oci_index), .manifests = {entry}};
    files["index.json"] = dump_json(to_json(index));
    EXPECT_EQ(loaded(make_tar(files)),
              fmt::format("Loaded image ID: {}\n", image.manifest.config.digest));
    index.manifests[0].annotations["org.opencontainers.image.ref.name"] = "quay.example/a:1";
    files["index.json"] = dump_json(to_json(index));
    EXPECT_EQ(loaded(make_tar(files)), "Loaded image: quay.example/a:1\n");
    files["blobs/sha256/" + image.manifest.config.digest.substr(7)] += " ";
    EXPECT_TRUE(loaded(make_tar(files)).contains("has another digest"));
}

TEST_F(ArchiveTest, BadArchives) {
    EXPECT_TRUE(loaded(make_tar({{"x", "y"}})).contains("holds no image"));
    EXPECT_TRUE(loaded("").starts_with("error: "));
    EXPECT_TRUE(loaded(std::string(2000, 'x')).starts_with("error: "));
    const std::string outside =
        R"([{"Config":"../../etc/passwd","RepoTags":[],"Layers":["/etc/shadow"]}])";
    EXPECT_EQ(loaded(make_tar({{"manifest.json", outside}})),
              "error: the archive lacks ../../etc/passwd");
    const auto archive = [] {
        oci::Image image{.architecture = "amd64", .os = "linux"};
        image.rootfs.diff_ids = {"sha256:" + std::string(64, '0')};
        return make_tar(
            {{"c", dump_json(to_json(image))},
             {"l", make_tar({{"x", "y"}})},
             {"manifest.json", R"([{"Config":"c","RepoTags":["a:1"],"Layers":["l"]}])"}});
    }();
    EXPECT_TRUE(loaded(archive).starts_with("error: layer l: "));
    expect_layers(0);
    EXPECT_TRUE(store_->images().list().value().empty());
}

TEST_F(ArchiveTest, ImportTakesChangesAndCompression) {
    const std::string tar = compress(make_tar({{"a", "b"}}), storage::Compression::zstd);
    const auto id =
        import_image(*store_, reading(tar), {.changes = {"ENV A=b", "EXPOSE 80"}}).value();
    const auto image = oci::parse_image(store_->images().get(id)->config, 1).value();
    EXPECT_EQ(image.config->env, (std::vector<std::string>{"A=b"}));
    EXPECT_EQ(image.comment, "Imported from -");
    EXPECT_FALSE(import_image(*store_, reading(tar), {.changes = {"RUN x"}}));
}

}  // namespace corten::image
