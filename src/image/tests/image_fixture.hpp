#pragma once
// A store in a directory of its own, and small images served by a FakeRegistry.
#include "fake_registry.hpp"

#include <image/puller.hpp>
#include <storage/compression.hpp>
#include <storage/digest.hpp>
#include <storage/tar.hpp>
#include <sys/file.hpp>

#include <filesystem>

namespace corten::image {

inline std::string make_tar(const std::map<std::string, std::string>& files) {
    std::string bytes;
    storage::StringSink sink(bytes);
    storage::TarWriter tar(sink);
    for (const auto& [name, content] : files) {
        EXPECT_TRUE(tar.begin({.name = name, .mode = 0644, .size = content.size()}));
        EXPECT_TRUE(tar.write_data(content));
        EXPECT_TRUE(tar.end());
    }
    EXPECT_TRUE(tar.finish());
    return bytes;
}

inline std::string compress(std::string_view bytes, storage::Compression compression) {
    std::string out;
    storage::StringSink sink(out);
    auto compressor = storage::Compressor::create(compression, sink).value();
    EXPECT_TRUE(compressor->write(bytes));
    EXPECT_TRUE(compressor->finish());
    return out;
}

/// Blobs and a manifest, to be served or spoilt.
struct TestImage {
    std::map<std::string, std::string> blobs;  ///< by digest
    oci::Image config{.architecture = oci::host_platform().architecture, .os = "linux"};
    oci::Manifest manifest{.media_type = std::string(oci::media::docker_manifest)};

    oci::Descriptor add_blob(std::string_view type, std::string bytes) {
        oci::Descriptor descriptor{.media_type = std::string(type),
                                   .digest = storage::sha256_digest(bytes),
                                   .size = static_cast<std::int64_t>(bytes.size())};
        blobs[descriptor.digest] = std::move(bytes);
        return descriptor;
    }
    void add_layer(const std::map<std::string, std::string>& files,
                   storage::Compression compression = storage::Compression::gzip) {
        const std::string tar = make_tar(files);
        config.rootfs.diff_ids.push_back(storage::sha256_digest(tar));
        const auto type = compression == storage::Compression::zstd ? oci::media::oci_layer_zstd
                                                                    : oci::media::docker_layer_gzip;
        manifest.layers.push_back(add_blob(type, compress(tar, compression)));
    }
    void finish() {
        manifest.config = add_blob(oci::media::docker_config, dump_json(to_json(config)));
    }
    std::string manifest_text() const { return dump_json(to_json(manifest)); }

    FakeReply serve(const FakeRequest& request) const {
        const std::string last = request.target.substr(request.target.rfind('/') + 1);
        if (request.target.contains("/manifests/"))
            return {.headers = {{"Content-Type", manifest.media_type}}, .body = manifest_text()};
        const auto blob = blobs.find(last);
        if (blob == blobs.end()) return {.status = 404};
        return {.body = blob->second};
    }
};

class StoreTest : public testing::Test {
protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "layers are written with their owners: needs root";
        char name[] = "/tmp/corten-image-test-XXXXXX";
        directory_ = ::mkdtemp(name);
        store_ = std::move(storage::Store::open(directory_ + "/data")).value();
    }
    void TearDown() override {
        store_.reset();
        if (!directory_.empty()) std::filesystem::remove_all(directory_);
    }

    static PullOptions fast() {
        return {.registry = {.certificate_directories = {}},
                .stall_timeout = std::chrono::milliseconds(500),
                .attempts = 3,
                .first_pause = std::chrono::milliseconds(1)};
    }
    /// One word per line: what a client of the pull saw, without numbers.
    struct Pulled {
        Result<PullResult> result;
        std::vector<std::string> lines;
        bool saw(const std::string& line) const {
            return std::ranges::find(lines, line) != lines.end();
        }
    };
    static Pulled pull(
        Puller& puller, const std::string& reference, FdView cancel = {},
        const std::function<void()>& heard = [] {}) {
        std::vector<std::string> lines;
        auto result = puller.pull(
            {.reference = Reference::parse(reference).value().with_default_tag()},
            [&](const Progress& event) {
                heard();
                if (!event.current)
                    lines.push_back(event.id.empty() ? event.status
                                                     : event.id + ": " + event.status);
            },
            cancel);
        return {std::move(result), std::move(lines)};
    }
    Pulled pull(const std::string& reference) {
        Puller puller(*store_, fast());
        return pull(puller, reference);
    }
    /// Every directory belongs to a layer, and there are that many.
    void expect_layers(std::size_t count) {
        EXPECT_EQ(store_->layers().list().value().size(), count);
        EXPECT_EQ(store_->driver().list().value().size(), count);
        EXPECT_EQ(store_->check({}).value().problems.size(), 0u);
    }

    std::string directory_;
    std::unique_ptr<storage::Store> store_;
};

}  // namespace corten::image
