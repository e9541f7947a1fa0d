// Against Debian's docker-registry and skopeo: programs that we did not write.
#include "image_fixture.hpp"
#include "program.hpp"

#include <image/builder.hpp>
#include <image/login.hpp>
#include <image/pusher.hpp>
#include <sys/process.hpp>

namespace corten::image {

namespace {

int free_port() {
    FakeRegistry probe([](const FakeRequest&) { return FakeReply{}; });
    return std::stoi(probe.host().substr(10));
}

class RealRegistry : public StoreTest {
protected:
    void SetUp() override {
        StoreTest::SetUp();
        if (IsSkipped()) return;
        const auto program = find_program("docker-registry", "docker-registry");
        if (!program) GTEST_SKIP() << program.error().message();
        start(*program);
    }
    void TearDown() override {
        server_ = {};
        StoreTest::TearDown();
    }

    void start(const std::string& program, const std::string& extra = "") {
        host_ = fmt::format("127.0.0.1:{}", free_port());
        const std::string config = directory_ + "/registry.yml";
        ASSERT_TRUE(sys::write_file_atomic(
            config, fmt::format("version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: "
                                "{{rootdirectory: {}/registry}}\nhttp: {{addr: {}}}\n{}",
                                directory_, host_, extra)));
        auto child = sys::spawn({.program = program,
                                 .arguments = {"serve", config},
                                 .environment = {"OTEL_TRACES_EXPORTER=none"}});
        ASSERT_TRUE(child) << child.error().message();
        server_ = *std::move(child);
        for (int i = 0; i < 200; ++i) {
            const auto answer = login({.username = password_.empty() ? "" : "me",
                                       .password = password_,
                                       .server_address = host_},
                                      fast(), {});
            if (answer) return;
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
        FAIL() << "docker-registry does not answer";
    }

    std::string made(const std::string& name, const std::map<std::string, std::string>& files) {
        const std::string tar = make_tar(files);
        storage::StringSource source(tar);
        oci::Image image = new_image();
        image.config.emplace();
        return store_image(*store_, source, image, {Reference::parse(name)->canonical()}).value();
    }
    Pulled pushed(const std::string& name) {
        std::vector<std::string> lines;
        const auto result =
            push(*store_, {.name = name}, fast(),
                 [&](const Progress& event) {
                     if (!event.current && !event.aux)
                         lines.push_back(event.id.empty() ? event.status
                                                          : event.id + ": " + event.status);
                 },
                 {});
        if (!result) return {result.error(), lines};
        return {PullResult{}, lines};
    }
    void forget(const std::string& id) {
        ASSERT_TRUE(
            store_->images().remove({.reference = "", .id_prefix = id.substr(7), .display = id},
                                    {.force = true, .users = {}}));
        ASSERT_TRUE(store_->images().collect_garbage());
        ASSERT_TRUE(store_->sweep());
    }

    std::string host_;
    std::string password_;  ///< of "me", when the registry wants one
    sys::OwnedChild server_;
};

}  // namespace

TEST_F(RealRegistry, PushedAndPulledIsTheSame) {
    const auto id = made(host_ + "/app:1", {{"a", "one"}, {"b", std::string(3 << 20, 'b')}});
    const auto sent = pushed(host_ + "/app:1");
    ASSERT_TRUE(sent.result) << sent.result.error().message();
    EXPECT_EQ(sent.lines[0], fmt::format("The push refers to repository [{}/app]", host_));
    EXPECT_TRUE(sent.lines[2].ends_with(": Pushed"));
    EXPECT_TRUE(sent.lines[3].starts_with("1: digest: sha256:"));
    EXPECT_EQ(store_->images().get(id)->digests.size(), 1u);

    const auto again = pushed(host_ + "/app:1");
    EXPECT_TRUE(again.lines[2].ends_with(": Layer already exists"));
    EXPECT_EQ(again.lines[3], sent.lines[3]);
    ASSERT_TRUE(store_->images().tag(host_ + "/other:2", id));
    const auto mounted = pushed(host_ + "/other:2");
    ASSERT_TRUE(mounted.result) << mounted.result.error().message();
    EXPECT_TRUE(mounted.lines[2].ends_with(": Mounted from app")) << mounted.lines[2];

    forget(id);
    expect_layers(0);
    const auto pulled = pull(host_ + "/other:2");
    ASSERT_TRUE(pulled.result) << pulled.result.error().message();
    EXPECT_EQ(pulled.result->image_id, id);
    expect_layers(1);
}

TEST_F(RealRegistry, SkopeoReadsWhatWePushAndTheReverse) {
    const auto skopeo = find_program("skopeo", "skopeo");
    if (!skopeo) GTEST_SKIP() << skopeo.error().message();
    const auto id = made(host_ + "/app:1", {{"a", "one"}, {"b", std::string(100'000, 'b')}});
    ASSERT_TRUE(pushed(host_ + "/app:1").result);
    std::string output;
    const auto run = [&](const std::vector<std::string>& arguments) {
        return run_program(*skopeo, arguments, [&](std::string_view line) { output += line; }, {});
    };
    ASSERT_TRUE(run({"inspect", "--tls-verify=false", "--config", "docker://" + host_ + "/app:1"}));
    EXPECT_TRUE(output.contains(R"("architecture":)")) << output;
    const auto copied =
        run({"--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false",
             "--format", "oci", "docker://" + host_ + "/app:1", "docker://" + host_ + "/oci:1"});
    ASSERT_TRUE(copied) << copied.error().message();
    forget(id);
    const auto pulled = pull(host_ + "/oci:1");
    ASSERT_TRUE(pulled.result) << pulled.result.error().message();
    expect_layers(1);
}

TEST_F(RealRegistry, WhatIsMissingIsNamedAsDockerDoes) {
    EXPECT_EQ(pull(host_ + "/nosuch:1").result.error().message(),
              fmt::format("manifest for {}/nosuch:1 not found: manifest unknown: manifest unknown",
                          host_));
    EXPECT_EQ(pushed(host_ + "/nosuch:1").result.error().message(),
              fmt::format("An image does not exist locally with the tag: {}/nosuch", host_));
}

TEST_F(RealRegistry, Passwords) {
    server_ = {};
    // "me" and "secret", hashed with bcrypt.
    ASSERT_TRUE(sys::write_file_atomic(
        directory_ + "/htpasswd",
        "me:$2b$05$LaPk.qPNVLvACD1nNzLoTuTI.q4p33qgzK2xlG9ZNugg6mqKszydi\n"));
    password_ = "secret";
    start(find_program("docker-registry", "docker-registry").value(),
          fmt::format("auth: {{htpasswd: {{realm: here, path: {}/htpasswd}}}}\n", directory_));
    const auto wrong =
        login({.username = "me", .password = "no", .server_address = host_}, fast(), {});
    EXPECT_EQ(wrong.error().kind(), ErrorKind::unauthorized);
    EXPECT_EQ(
        wrong.error().message(),
        fmt::format("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", host_));
    made(host_ + "/app:1", {{"a", "one"}});
    EXPECT_TRUE(
        pushed(host_ + "/app:1").result.error().message().ends_with("no basic auth credentials"));
    const Credentials me{.username = "me", .password = "secret"};
    EXPECT_TRUE(push(*store_, {.name = host_ + "/app:1", .credentials = me}, fast(),
                     [](const Progress&) {}, {}));
    Puller puller(*store_, fast());
    const PullRequest request{.reference = Reference::parse(host_ + "/app:1").value(),
                              .credentials = me};
    EXPECT_TRUE(puller.pull(request, [](const Progress&) {}, {}));
}

}  // namespace corten::image
