#include "image_fixture.hpp"

#include <sys/poll.hpp>

namespace corten::image {

namespace {

using PullTest = StoreTest;

TestImage two_layers() {
    TestImage image;
    image.add_layer({{"a", "one"}, {"b", std::string(300'000, 'b')}});
    image.add_layer({{"c", "three"}}, storage::Compression::zstd);
    image.finish();
    return image;
}

std::string short_id(const TestImage& image, std::size_t layer) {
    return std::string(oci::short_digest(image.manifest.layers[layer].digest));
}

}  // namespace

TEST_F(PullTest, AnImageArrivesWithDockersLines) {
    const TestImage image = two_layers();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    const auto pulled = pull(registry.host() + "/app:1");
    ASSERT_TRUE(pulled.result) << pulled.result.error().message();
    EXPECT_TRUE(pulled.result->updated);
    EXPECT_EQ(pulled.lines[0], "1: Pulling from app");
    for (const char* state :
         {"Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"})
        for (std::size_t layer : {0u, 1u})
            EXPECT_TRUE(pulled.saw(short_id(image, layer) + ": " + state)) << state;
    const std::string digest = storage::sha256_digest(image.manifest_text());
    EXPECT_EQ(pulled.lines[pulled.lines.size() - 2], "Digest: " + digest);
    EXPECT_EQ(pulled.lines.back(),
              fmt::format("Status: Downloaded newer image for {}/app:1", registry.host()));
    const auto stored = store_->images().get(pulled.result->image_id).value();
    EXPECT_EQ(stored.id, image.manifest.config.digest);
    EXPECT_EQ(stored.tags, (std::vector<std::string>{registry.host() + "/app:1"}));
    EXPECT_EQ(stored.digests, (std::vector<std::string>{registry.host() + "/app@" + digest}));
    expect_layers(2);
}

TEST_F(PullTest, ASecondPullOfTheSame) {
    const TestImage image = two_layers();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    ASSERT_TRUE(pull(registry.host() + "/app:1").result);
    const std::size_t blobs = registry.count("/blobs/");
    const auto again = pull(registry.host() + "/app:1");
    EXPECT_FALSE(again.result->updated);
    EXPECT_EQ(again.lines.size(), 3u);
    EXPECT_EQ(again.lines.back(),
              fmt::format("Status: Image is up to date for {}/app:1", registry.host()));
    EXPECT_TRUE(pull(registry.host() + "/app:2").result->updated);
    EXPECT_EQ(registry.count("/blobs/"), blobs);
}

TEST_F(PullTest, LayersInTheStoreAreNotFetched) {
    const TestImage base = two_layers();
    TestImage image = two_layers();
    image.blobs.erase(image.manifest.config.digest);
    image.add_layer({{"d", "four"}});
    image.finish();
    const TestImage* served = &base;
    FakeRegistry registry([&](const FakeRequest& r) { return served->serve(r); });
    ASSERT_TRUE(pull(registry.host() + "/app:1").result);
    served = &image;
    const auto pulled = pull(registry.host() + "/app:1");
    ASSERT_TRUE(pulled.result) << pulled.result.error().message();
    EXPECT_TRUE(pulled.saw(short_id(image, 0) + ": Already exists"));
    EXPECT_TRUE(pulled.saw(short_id(image, 1) + ": Already exists"));
    EXPECT_EQ(registry.count(image.manifest.layers[0].digest), 1u);
    expect_layers(3);
}

TEST_F(PullTest, AByDigestPullIsRecordedUnderIt) {
    const TestImage image = two_layers();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    const std::string name =
        registry.host() + "/app@" + storage::sha256_digest(image.manifest_text());
    const auto pulled = pull(name);
    ASSERT_TRUE(pulled.result) << pulled.result.error().message();
    const auto stored = store_->images().get(pulled.result->image_id).value();
    EXPECT_TRUE(stored.tags.empty());
    EXPECT_EQ(stored.digests, (std::vector<std::string>{name}));
}

TEST_F(PullTest, TheDiffIsVerified) {
    TestImage image = two_layers();
    image.blobs.erase(image.manifest.config.digest);
    image.config.rootfs.diff_ids[1] = "sha256:" + std::string(64, '0');
    image.finish();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    const auto pulled = pull(registry.host() + "/app:1");
    EXPECT_EQ(pulled.result.error().kind(), ErrorKind::corrupt) << pulled.result.error().message();
    EXPECT_TRUE(store_->images().list().value().empty());
    expect_layers(1);  // the good one is kept for the next try
}

TEST_F(PullTest, TheBlobIsVerified) {
    TestImage image = two_layers();
    const auto& digest = image.manifest.layers[0].digest;
    const auto spoil = [&](std::size_t at) {
        TestImage spoilt = image;
        spoilt.blobs[digest][at] = static_cast<char>(spoilt.blobs[digest][at] ^ 1);
        FakeRegistry registry([&](const FakeRequest& r) { return spoilt.serve(r); });
        return pull(registry.host() + "/app:1").result.error().message();
    };
    const std::string wanted = "filesystem layer verification failed for digest " + digest;
    EXPECT_EQ(spoil(40), wanted);  // does not inflate
    EXPECT_EQ(spoil(4), wanted);   // the time in gzip's header: inflates well
    expect_layers(0);
}

TEST_F(PullTest, ACountThatDiffersIsRefused) {
    TestImage image = two_layers();
    image.manifest.layers.pop_back();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    EXPECT_EQ(pull(registry.host() + "/app:1").result.error().message(),
              "image config lists 2 layers, its manifest 1");
}

TEST_F(PullTest, ABombIsStopped) {
    TestImage image;
    image.add_layer({{"zero", std::string(20 << 20, '\0')}});
    image.finish();
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    auto options = fast();
    options.layer_limits.bytes = 1 << 20;
    Puller puller(*store_, options);
    const auto pulled = pull(puller, registry.host() + "/app:1");
    ASSERT_FALSE(pulled.result);
    EXPECT_NE(pulled.result.error().kind(), ErrorKind::internal) << pulled.result.error().message();
    expect_layers(0);
}

TEST_F(PullTest, SomethingElseThanAnImageIsNamed) {
    TestImage image = two_layers();
    image.manifest.config.media_type = "application/vnd.cncf.helm.config.v1+json";
    FakeRegistry registry([&](const FakeRequest& r) { return image.serve(r); });
    EXPECT_EQ(pull(registry.host() + "/app:1").result.error().kind(), ErrorKind::unsupported);
}

TEST_F(PullTest, SeveralClientsShareOnePull) {
    const TestImage image = two_layers();
    std::atomic<bool> open = false;
    FakeRegistry registry([&](const FakeRequest& r) {
        if (r.target.contains("/blobs/")) open.wait(false);
        return image.serve(r);
    });
    auto options = fast();
    options.stall_timeout = std::chrono::seconds(10);
    Puller puller(*store_, options);
    std::vector<std::thread> clients;
    std::atomic<int> joined = 0, succeeded = 0;
    clients.reserve(4);
    for (int i = 0; i < 4; ++i)
        clients.emplace_back([&] {
            bool first = true;
            const auto heard = [&] { joined += std::exchange(first, false) ? 1 : 0; };
            const auto pulled = pull(puller, registry.host() + "/app:1", {}, heard);
            if (pulled.result && pulled.saw(short_id(image, 1) + ": Pull complete")) ++succeeded;
        });
    while (registry.count("/blobs/") == 0 || joined < 4)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    open = true;
    open.notify_all();
    for (auto& client : clients) client.join();
    EXPECT_EQ(succeeded, 4);
    EXPECT_EQ(registry.count("/manifests/"), 1u);
    EXPECT_EQ(registry.count("/blobs/"), 3u);
}

TEST_F(PullTest, TwoNamesOfAnImageShareItsLayers) {
    const TestImage image = two_layers();
    std::atomic<bool> open = false;
    FakeRegistry registry([&](const FakeRequest& r) {
        if (std::ranges::any_of(image.manifest.layers,
                                [&](const auto& l) { return r.target.contains(l.digest); }))
            open.wait(false);
        return image.serve(r);
    });
    auto options = fast();
    options.stall_timeout = std::chrono::seconds(10);
    Puller puller(*store_, options);
    std::vector<std::thread> clients;
    std::atomic<int> succeeded = 0;
    for (const char* tag : {"1", "2", "3"})
        clients.emplace_back([&, tag] {
            if (pull(puller, fmt::format("{}/app:{}", registry.host(), tag)).result) ++succeeded;
        });
    while (registry.count("/blobs/" + image.manifest.config.digest) < 3)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    open = true;
    open.notify_all();
    for (auto& client : clients) client.join();
    EXPECT_EQ(succeeded, 3);
    for (const auto& layer : image.manifest.layers) EXPECT_EQ(registry.count(layer.digest), 1u);
    expect_layers(2);
}

TEST_F(PullTest, TheLastClientToLeaveEndsThePull) {
    const TestImage image = two_layers();
    const auto& slow = image.manifest.layers[0].digest;
    FakeRegistry registry([&](const FakeRequest& r) {
        auto reply = image.serve(r);
        if (!r.target.contains(slow)) return reply;
        reply.announced = reply.body.size();
        reply.body.resize(20);
        reply.stall = true;
        return reply;
    });
    auto options = fast();
    options.stall_timeout = std::chrono::seconds(20);
    Puller puller(*store_, options);
    const auto first = sys::Event::create().value();
    const auto second = sys::Event::create().value();
    std::thread client([&] {
        EXPECT_EQ(pull(puller, registry.host() + "/app:1", first.fd()).result.error().kind(),
                  ErrorKind::cancelled);
    });
    std::thread other([&] {
        EXPECT_EQ(pull(puller, registry.host() + "/app:1", second.fd()).result.error().kind(),
                  ErrorKind::cancelled);
    });
    while (registry.count(slow) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    first.set();
    client.join();
    const auto started = std::chrono::steady_clock::now();
    second.set();
    other.join();
    EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
    EXPECT_EQ(registry.count(slow), 1u);
    EXPECT_TRUE(store_->images().list().value().empty());
}

TEST_F(PullTest, AFailedPullGoesOnWhereItStopped) {
    const TestImage image = two_layers();
    bool lacking = true;
    FakeRegistry registry([&](const FakeRequest& r) {
        if (lacking && r.target.contains(image.manifest.layers[1].digest))
            return FakeReply{.status = 404};
        return image.serve(r);
    });
    auto options = fast();
    options.downloads = 1;  // the first layer is done when the second one fails
    Puller puller(*store_, options);
    const auto failed = pull(puller, registry.host() + "/app:1");
    EXPECT_EQ(failed.result.error().kind(), ErrorKind::not_found);
    EXPECT_TRUE(store_->images().collect_garbage().value().layers.empty());
    lacking = false;
    ASSERT_TRUE(pull(puller, registry.host() + "/app:1").result);
    EXPECT_EQ(registry.count(image.manifest.layers[0].digest), 1u);
    expect_layers(2);
}

}  // namespace corten::image
