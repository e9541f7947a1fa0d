#include "resolve.hpp"
#include "session_fixture.hpp"

#include <sys/poll.hpp>

namespace corten::image {

namespace {

constexpr std::string_view manifest_text =
    R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
    R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":2,)"
    R"("digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},)"
    R"("layers":[]})";

FakeReply manifest_reply(std::string body = std::string(manifest_text)) {
    return {.headers = {{"Content-Type", std::string(oci::media::docker_manifest)}},
            .body = std::move(body)};
}

FakeReply error_reply(int status, std::string_view code, std::string_view message) {
    return {.status = status,
            .body = fmt::format(R"({{"errors":[{{"code":"{}","message":"{}"}}]}})", code, message)};
}

const Credentials me{.username = "me", .password = "secret"};

}  // namespace

TEST(Session, FetchesAManifest) {
    FakeRegistry registry([](const FakeRequest&) { return manifest_reply(); });
    Client client(registry);
    const auto fetched = client.session.manifest("1").value();
    EXPECT_EQ(fetched.bytes, manifest_text);
    EXPECT_EQ(registry.requests()[0].target, "/v2/app/manifests/1");
    EXPECT_TRUE(registry.requests()[0].header("accept").contains("manifest"));
}

TEST(Session, AManifestIsVerified) {
    FakeRegistry registry([](const FakeRequest&) { return manifest_reply(); });
    Client client(registry);
    const std::string other = "sha256:" + std::string(64, '0');
    EXPECT_EQ(client.session.manifest(other).error().message(),
              "manifest verification failed for digest " + other);
    FakeRegistry lying([](const FakeRequest&) {
        auto reply = manifest_reply();
        reply.headers["Docker-Content-Digest"] = "sha256:" + std::string(64, '1');
        return reply;
    });
    Client second(lying);
    EXPECT_EQ(second.session.manifest("1").error().kind(), ErrorKind::corrupt);
}

TEST(Session, RefusalsAreDockersSentences) {
    std::string code = "MANIFEST_UNKNOWN";
    std::string message = "manifest unknown";
    FakeRegistry registry([&](const FakeRequest&) { return error_reply(404, code, message); });
    Client client(registry);
    EXPECT_EQ(client.session.manifest("1").error().message(),
              fmt::format("manifest for {}/app:1 not found: manifest unknown: manifest unknown",
                          registry.host()));
    code = "DENIED";
    message = "requested access to the resource is denied";
    const auto denied = client.session.manifest("1");
    EXPECT_EQ(denied.error().message(),
              fmt::format("pull access denied for {}/app, repository does not exist or may require "
                          "'docker login': denied: requested access to the resource is denied",
                          registry.host()));
    EXPECT_EQ(denied.error().kind(), ErrorKind::not_found);
}

TEST(Session, AnErrorPageIsNamedNotShownRaw) {
    FakeRegistry registry(
        [](const FakeRequest&) { return FakeReply{.status = 403, .body = "<html>\x1b[31mno\n"}; });
    Client client(registry);
    EXPECT_EQ(client.session.manifest("1").error().message(),
              "error parsing HTTP 403 response body: \"<html> [31mno\"");
}

TEST(Session, AClosedPortIsNamedAsGoDoes) {
    std::string host;
    {
        FakeRegistry gone([](const FakeRequest&) { return FakeReply{}; });
        host = gone.host();
    }
    Transport transport(fast());
    const auto result =
        resolve(transport, {}, Reference::parse(host + "/app:1").value(), {}, oci::host_platform());
    EXPECT_EQ(
        result.error().message(),
        fmt::format("Get \"http://{}/v2/\": dial tcp {}: connect: connection refused", host, host));
    EXPECT_EQ(result.error().kind(), ErrorKind::unavailable);
}

TEST(Session, FallsBackToPlainHttpOnLoopback) {
    FakeRegistry registry([](const FakeRequest&) { return manifest_reply(); });
    Transport transport(fast());
    const auto resolved =
        resolve(transport, {}, Reference::parse(registry.host() + "/app:1").value(), {},
                oci::host_platform());
    ASSERT_TRUE(resolved) << resolved.error().message();
    EXPECT_EQ(resolved->sessions.front()->endpoint().scheme, "http");
}

TEST(Session, BearerTokensAreFetchedOnceAndKept) {
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.target.starts_with("/token"))
            return {.body = R"({"token":"sesame","expires_in":300})"};
        if (request.header("authorization") == "Bearer sesame") return manifest_reply();
        return {.status = 401,
                .headers = {{"WWW-Authenticate",
                             fmt::format(R"(Bearer realm="http://{}/token",service="r")",
                                         request.header("host"))}}};
    });
    Client client(registry, me);
    EXPECT_TRUE(client.session.manifest("1"));
    EXPECT_TRUE(client.session.manifest("1"));
    EXPECT_EQ(registry.count("/token"), 1u);
    for (const auto& request : registry.requests()) {
        if (!request.target.starts_with("/token")) continue;
        EXPECT_TRUE(request.target.contains("scope=repository%3Aapp%3Apull")) << request.target;
        EXPECT_TRUE(request.target.contains("account=me"));
        EXPECT_EQ(request.header("authorization"), basic_authorization("me", "secret"));
    }
}

TEST(Session, AnIdentityTokenIsExchanged) {
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.target.starts_with("/token")) return {.body = R"({"access_token":"short"})"};
        if (request.header("authorization") == "Bearer short") return manifest_reply();
        return {.status = 401,
                .headers = {{"WWW-Authenticate", fmt::format(R"(Bearer realm="http://{}/token")",
                                                             request.header("host"))}}};
    });
    Client client(registry, {.identity_token = "long"});
    ASSERT_TRUE(client.session.manifest("1"));
    const auto requests = registry.requests();
    EXPECT_EQ(requests[1].method, "POST");
    EXPECT_TRUE(requests[1].body.contains("grant_type=refresh_token&refresh_token=long"));
}

TEST(Session, ALoopOfChallengesEnds) {
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.target.starts_with("/token")) return {.body = R"({"token":"x"})"};
        return {.status = 401,
                .headers = {{"WWW-Authenticate", fmt::format(R"(Bearer realm="http://{}/token")",
                                                             request.header("host"))}}};
    });
    Client client(registry);
    const auto result = client.session.manifest("1");
    EXPECT_EQ(result.error().kind(), ErrorKind::unauthorized);
    EXPECT_LE(registry.requests().size(), 6u);
}

TEST(Session, BasicCredentials) {
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.header("authorization") == basic_authorization("me", "secret"))
            return manifest_reply();
        auto refusal = error_reply(401, "UNAUTHORIZED", "authentication required");
        refusal.headers["WWW-Authenticate"] = R"(Basic realm="x")";
        return refusal;
    });
    EXPECT_TRUE(Client(registry, me).session.manifest("1"));
    EXPECT_EQ(Client(registry, {.username = "me", .password = "wrong"})
                  .session.manifest("1")
                  .error()
                  .message(),
              "unauthorized: authentication required");
    EXPECT_TRUE(Client(registry).session.manifest("1").error().message().ends_with(
        "no basic auth credentials"));
}

TEST(Session, RedirectsDoNotCarryCredentials) {
    const std::string bytes = "content";
    FakeRegistry store([&](const FakeRequest&) { return FakeReply{.body = bytes}; });
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.header("authorization").empty())
            return {.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=x"}}};
        return {.status = 307, .headers = {{"Location", "http://" + store.host() + "/blob?key=1"}}};
    });
    Client client(registry, me);
    EXPECT_EQ(client.session.small_blob(descriptor_of(bytes), 100).value(), bytes);
    ASSERT_EQ(store.requests().size(), 1u);
    EXPECT_EQ(store.requests()[0].header("authorization"), "");
    EXPECT_EQ(store.requests()[0].target, "/blob?key=1");
}

TEST(Session, ALoopOfRedirectsEnds) {
    FakeRegistry registry([&](const FakeRequest& request) {
        return FakeReply{.status = 302, .headers = {{"Location", request.target + "x"}}};
    });
    const auto result = Client(registry).session.manifest("1");
    EXPECT_TRUE(result.error().message().contains("redirects")) << result.error().message();
    EXPECT_EQ(registry.requests().size(), 10u);
}

TEST(Session, APassingErrorIsTriedAgain) {
    int asked = 0;
    FakeRegistry registry([&](const FakeRequest&) -> FakeReply {
        ++asked;
        if (asked == 1) return {.status = 503};
        if (asked == 2) return {.status = 429, .headers = {{"Retry-After", "0"}}};
        return manifest_reply();
    });
    EXPECT_TRUE(Client(registry).session.manifest("1"));
    EXPECT_EQ(asked, 3);
}

TEST(Session, WaitsAsLongAsTheRegistryAsks) {
    int asked = 0;
    FakeRegistry registry([&](const FakeRequest&) -> FakeReply {
        const char* when[] = {"2", "Sun, 06 Nov 1994 08:50:37 GMT", "nonsense"};
        if (asked < 3) return {.status = 429, .headers = {{"Retry-After", when[asked++]}}};
        return manifest_reply();
    });
    std::vector<std::chrono::milliseconds> waits;
    auto options = fast();
    options.now = [] { return parse_rfc3339("1994-11-06T08:49:37Z").value(); };
    options.wait = [&](std::span<const FdView>, std::chrono::milliseconds most) -> Result<bool> {
        waits.push_back(most);
        return false;
    };
    EXPECT_TRUE(Client(registry, options).session.manifest("1"));
    using namespace std::chrono_literals;
    EXPECT_EQ(waits, (std::vector<std::chrono::milliseconds>{2s, 60s, 4ms}));
}

TEST(Session, ARegistryThatWantsToBeLeftAloneForLongIsNotAskedAgain) {
    FakeRegistry registry([&](const FakeRequest&) -> FakeReply {
        auto reply = error_reply(429, "TOOMANYREQUESTS", "come tomorrow");
        reply.headers["Retry-After"] = "86400";
        return reply;
    });
    EXPECT_EQ(Client(registry).session.manifest("1").error().message(),
              "toomanyrequests: come tomorrow");
    EXPECT_EQ(registry.requests().size(), 1u);
}

TEST(Session, AnAnswerThatIsCutIsAskedForAgain) {
    const std::string config = R"({"architecture":"amd64"})";
    std::map<std::string, int> asked;
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        FakeReply whole = request.target.contains("/tags/") ? FakeReply{.body = R"({"tags":["a"]})"}
                          : request.target.contains("/blobs/") ? FakeReply{.body = config}
                                                               : manifest_reply();
        if (++asked[request.target] > 1) return whole;
        whole.announced = whole.body.size();
        whole.body.resize(10);
        return whole;
    });
    Client client(registry);
    EXPECT_EQ(client.session.manifest("1").value().bytes, manifest_text);
    EXPECT_EQ(client.session.small_blob(descriptor_of(config), 1000).value(), config);
    EXPECT_EQ(client.session.tags().value(), std::vector<std::string>{"a"});
    EXPECT_EQ(registry.requests().size(), 6u);
}

TEST(Session, ATokenServerThatFailsForAMomentIsAskedAgain) {
    int asked = 0;
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.target.starts_with("/token")) {
            if (++asked == 1) return {.status = 503};
            if (asked == 2) return {.status = 429, .headers = {{"Retry-After", "0"}}};
            if (asked == 3) return {.body = R"({"tok)", .announced = 100};
            return {.body = R"({"token":"sesame"})"};
        }
        if (request.header("authorization") == "Bearer sesame") return manifest_reply();
        return {.status = 401,
                .headers = {{"WWW-Authenticate", fmt::format(R"(Bearer realm="http://{}/token")",
                                                             request.header("host"))}}};
    });
    EXPECT_TRUE(Client(registry).session.manifest("1"));
    EXPECT_EQ(asked, 4);
}

TEST(Session, EveryScopeIsAParameterOfItsOwnAndIsKept) {
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        if (request.target.starts_with("/token"))
            return {.body = fmt::format(R"({{"token":"{}"}})", request.target.contains("from"))};
        const bool mount = request.target.contains("mount");
        if (request.header("authorization") == "Bearer true") return {.status = mount ? 201 : 200};
        if (request.header("authorization") == "Bearer false" && !mount) return manifest_reply();
        const char* scope =
            mount ? "repository:app:pull,push repository:from:pull" : "repository:app:pull,push";
        return {.status = 401,
                .headers = {
                    {"WWW-Authenticate", fmt::format(R"(Bearer realm="http://{}/token",scope="{}")",
                                                     request.header("host"), scope)}}};
    });
    Client client(registry);
    ASSERT_TRUE(client.session.manifest("1"));
    const auto mounted =
        client.session.request({.method = "POST", .target = "/v2/app/blobs/uploads/?mount=x"});
    EXPECT_EQ(mounted.value().status(), 201);
    EXPECT_EQ(registry.count("scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Afrom%3Apull"),
              1u);
}

TEST(Session, ALastingErrorIsReported) {
    FakeRegistry registry([&](const FakeRequest&) { return FakeReply{.status = 500}; });
    EXPECT_EQ(Client(registry).session.manifest("1").error().message(),
              "received unexpected HTTP status: 500 Other");
    EXPECT_EQ(registry.requests().size(), 4u);
}

TEST(Session, AManifestThatNeverEndsIsCutOff) {
    const std::string endless(9 << 20, ' ');
    FakeRegistry registry([&](const FakeRequest&) { return manifest_reply(endless); });
    EXPECT_EQ(Client(registry).session.manifest("1").error().kind(), ErrorKind::corrupt);
}

TEST(Session, ASilentRegistryIsGivenUp) {
    FakeRegistry registry([&](const FakeRequest&) {
        return FakeReply{.body = "{", .announced = 1000, .stall = true};
    });
    EXPECT_FALSE(Client(registry).session.manifest("1"));
}

TEST(Resolve, AnIndexMayNotPointAtItself) {
    std::string index;
    FakeRegistry registry([&](const FakeRequest& request) -> FakeReply {
        // Whatever digest is asked for, the same index comes: only the digest shows the lie.
        index =
            fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}",)"
                        R"("digest":"sha256:{}","size":{},"platform":{{"os":"linux",)"
                        R"("architecture":"{}"}}}}]}})",
                        oci::media::oci_index, oci::media::oci_index, std::string(64, 'a'), 100,
                        oci::host_platform().architecture);
        (void)request;
        return {.headers = {{"Content-Type", std::string(oci::media::oci_index)}}, .body = index};
    });
    Transport transport(fast());
    const auto result = resolve(transport, {}, Reference::parse(registry.host() + "/app:1").value(),
                                {}, oci::host_platform());
    EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
}

TEST(Resolve, AMirrorThatLacksTheImageIsPassedOver) {
    FakeRegistry mirror([](const FakeRequest&) {
        return error_reply(404, "MANIFEST_UNKNOWN", "manifest unknown");
    });
    FakeRegistry registry([](const FakeRequest&) { return manifest_reply(); });
    const RegistryConfig config{
        .insecure = {},
        .mirrors = {parse_mirror("docker.io", "http://" + mirror.host()).value(),
                    parse_mirror("docker.io", "http://" + registry.host()).value()}};
    Transport transport(fast());
    const auto resolved =
        resolve(transport, config, Reference::parse("debian:12").value(), me, oci::host_platform());
    ASSERT_TRUE(resolved) << resolved.error().message();
    EXPECT_EQ(mirror.requests()[0].target, "/v2/library/debian/manifests/12");
    EXPECT_EQ(mirror.requests()[0].header("authorization"), "");
}

TEST(Resolve, ARegistryThatCutsItsAnswersIsNotAskedInTheOpen) {
    // Nothing but silence on the first scheme may lead to the second.
    FakeRegistry registry(
        [](const FakeRequest&) { return FakeReply{.body = "{", .announced = 1000}; });
    Transport transport(fast());
    const auto session = [&](const char* path) {
        return std::make_unique<Session>(
            transport, Endpoint{.scheme = "http", .host = registry.host(), .path = path},
            Reference{.domain = registry.host(), .path = path}, Credentials(), "pull");
    };
    std::vector<std::unique_ptr<Session>> sessions;
    sessions.push_back(session("first"));
    sessions.push_back(session("second"));
    EXPECT_FALSE(with_first_reachable<FetchedManifest>(
        sessions, [](Session& each) { return each.manifest("1"); }));
    EXPECT_EQ(registry.count("/first/"), 4u);
    EXPECT_EQ(registry.count("/second/"), 0u);
    EXPECT_EQ(sessions.size(), 2u);
}

TEST(Resolve, WhatAMirrorLacksOfAnImageTheNextOneSends) {
    const auto host = oci::host_platform();
    const std::string index = fmt::format(
        R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{}",)"
        R"("size":{},"platform":{{"os":"linux","architecture":"{}"}}}}]}})",
        oci::media::oci_index, oci::media::docker_manifest, storage::sha256_digest(manifest_text),
        manifest_text.size(), host.architecture);
    FakeRegistry mirror([&](const FakeRequest& request) -> FakeReply {
        if (request.target.ends_with("/12"))
            return {.headers = {{"Content-Type", std::string(oci::media::oci_index)}},
                    .body = index};
        return error_reply(404, "MANIFEST_UNKNOWN", "manifest unknown");
    });
    FakeRegistry registry([](const FakeRequest&) { return manifest_reply(); });
    const RegistryConfig config{
        .insecure = {},
        .mirrors = {parse_mirror("docker.io", "http://" + mirror.host()).value(),
                    parse_mirror("docker.io", "http://" + registry.host()).value()}};
    Transport transport(fast());
    const auto resolved =
        resolve(transport, config, Reference::parse("debian:12").value(), {}, host);
    ASSERT_TRUE(resolved) << resolved.error().message();
    EXPECT_EQ(resolved->manifest.bytes, manifest_text);
    EXPECT_EQ(resolved->sessions.size(), 3u) << "the mirror may have the layers";
}

TEST(Blob, ComesWholeAndVerified) {
    const auto bytes = test_bytes(700'000);
    FakeRegistry registry([&](const FakeRequest& r) { return part(r, bytes, bytes.size()); });
    Client client(registry);
    bool complete = false;
    BlobSource blob({&client.session}, descriptor_of(bytes),
                    {.complete = [&] { complete = true; }});
    EXPECT_EQ(read_whole(blob), bytes);
    EXPECT_TRUE(complete);
}

TEST(Blob, GoesOnByRangeAfterACut) {
    const auto bytes = test_bytes(4 << 20);
    FakeRegistry registry([&](const FakeRequest& r) { return part(r, bytes, (1 << 20) + 17); });
    Client client(registry);
    BlobSource blob({&client.session}, descriptor_of(bytes), {});
    EXPECT_EQ(read_whole(blob), bytes);
    EXPECT_EQ(registry.requests().size(), 4u);
    EXPECT_EQ(registry.requests()[1].header("range"), fmt::format("bytes={}-", (1 << 20) + 17));
}

TEST(Blob, ARegistryWithoutRangesStartsOver) {
    const auto bytes = test_bytes(3 << 20);
    int asked = 0;
    FakeRegistry registry([&](const FakeRequest&) {
        return FakeReply{.body = bytes.substr(0, ++asked == 1 ? 1'500'000 : bytes.size()),
                         .announced = bytes.size()};
    });
    Client client(registry);
    BlobSource blob({&client.session}, descriptor_of(bytes), {});
    EXPECT_EQ(read_whole(blob), bytes);
}

TEST(Blob, AStalledConnectionIsDialledAgain) {
    const auto bytes = test_bytes(100'000);
    FakeRegistry registry([&](const FakeRequest& r) {
        auto reply = part(r, bytes, range_start(r) == 0 ? 50'000 : bytes.size());
        reply.stall = range_start(r) == 0;
        return reply;
    });
    Client client(registry);
    BlobSource blob({&client.session}, descriptor_of(bytes), {});
    EXPECT_EQ(read_whole(blob), bytes);
}

TEST(Blob, OneThatIsAlwaysCutIsGivenUp) {
    const auto bytes = test_bytes(100'000);
    FakeRegistry registry([&](const FakeRequest& r) { return part(r, bytes, 10); });
    Client client(registry);
    const auto wanted = descriptor_of(bytes);
    BlobSource blob({&client.session}, wanted, {});
    EXPECT_TRUE(read_whole(blob).starts_with(
        fmt::format("error: layer {}: gave up after 40 of 100000 bytes: ", wanted.digest)));
}

TEST(Blob, LiesAboutSizeAndContent) {
    const auto bytes = test_bytes(1000);
    FakeReply reply;
    FakeRegistry registry([&](const FakeRequest&) { return reply; });
    Client client(registry);
    const auto wanted = descriptor_of(bytes);
    const auto result = [&] {
        BlobSource blob({&client.session}, wanted, {});
        return read_whole(blob);
    };
    reply = {.body = bytes + "more"};
    EXPECT_TRUE(result().contains("announces 1004 bytes instead of 1000"));
    reply = {.body = std::string(1000, 'x')};
    EXPECT_EQ(result(), "error: filesystem layer verification failed for digest " + wanted.digest);
    reply = {.status = 404};
    EXPECT_TRUE(result().contains("is missing in the registry"));
}

TEST(Blob, CancellingEndsAWait) {
    const auto cancel = sys::Event::create().value();
    FakeRegistry registry([&](const FakeRequest&) {
        cancel.set();
        return FakeReply{.body = "x", .announced = 1000, .stall = true};
    });
    Client client(registry, {}, cancel.fd());
    BlobSource blob({&client.session}, descriptor_of(test_bytes(1000)), {});
    const auto started = std::chrono::steady_clock::now();
    EXPECT_EQ(read_whole(blob), "error: context canceled");
    EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::milliseconds(300));
}

}  // namespace corten::image
