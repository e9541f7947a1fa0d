#include "errors.hpp"
#include "filters.hpp"
#include "hijack.hpp"
#include "path_stat.hpp"
#include "progress.hpp"
#include "router.hpp"
#include "shapes.hpp"
#include "websocket_handshake.hpp"

#include <sys/stat.h>

#include <gmock/gmock.h>

namespace corten::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Version, IsTakenOffThePath) {
    const auto old = split_version("/v1.41/containers/a%20b/json");
    EXPECT_EQ(old->path, "/containers/a b/json");
    EXPECT_EQ(old->version, (ApiVersion{1, 41}));
    EXPECT_EQ(split_version("/volumes")->path, "/volumes");
    EXPECT_EQ(split_version("/volumes")->version, newest);
    EXPECT_EQ(split_version("/version")->path, "/version");
    EXPECT_FALSE(split_version("/containers/%zz/json").has_value());
}

TEST(Version, RefusesTooNewAndTooOld) {
    EXPECT_TRUE(check_version(*split_version("/v1.24/info")).has_value());
    EXPECT_TRUE(check_version(*split_version("/v1.51/info")).has_value());
    EXPECT_EQ(check_version(*split_version("/v1.99/info")).error().message(),
              "client version 1.99 is too new. Maximum supported API version is 1.51");
    EXPECT_THAT(
        check_version(*split_version("/v1.18/info")).error().message(),
        HasSubstr("client version 1.18 is too old. Minimum supported API version is 1.24, please"));
    EXPECT_FALSE(check_version(*split_version("/v2/info")).has_value());
}

TEST(Router, HolesTakeSlashesAndColons) {
    std::vector<std::string> found;
    EXPECT_TRUE(matches("/images/{}/push", "/images/127.0.0.1:5056/a/b/push", found));
    EXPECT_THAT(found, ElementsAre("127.0.0.1:5056/a/b"));
    found.clear();
    EXPECT_TRUE(matches("/images/{}/json", "/images/json/json", found));
    EXPECT_THAT(found, ElementsAre("json"));
    found.clear();
    EXPECT_TRUE(matches("/containers/{}/checkpoints/{}", "/containers/c/checkpoints/x", found));
    EXPECT_THAT(found, ElementsAre("c", "x"));
    EXPECT_FALSE(matches("/images/{}/json", "/images/json", found));
}

Router all_routes() {
    Router router;
    for (const auto& routes :
         {system_routes(), container_routes(), container_stream_routes(), archive_routes(),
          exec_routes(), image_routes(), image_stream_routes(), network_routes(), volume_routes(),
          event_routes(), stats_routes(), plugin_routes(), extension_routes(), unbuilt_routes()})
        router.add(routes);
    return router;
}

TEST(Router, KnowsWhatClientsCall) {
    const Router router = all_routes();
    const std::vector<std::pair<std::string_view, std::string_view>> calls{
        {"HEAD", "/_ping"},
        {"GET", "/_ping"},
        {"GET", "/version"},
        {"GET", "/info"},
        {"GET", "/events"},
        {"GET", "/system/df"},
        {"POST", "/auth"},
        {"GET", "/containers/json"},
        {"POST", "/containers/create"},
        {"GET", "/containers/c/json"},
        {"GET", "/containers/c/top"},
        {"GET", "/containers/c/logs"},
        {"GET", "/containers/c/changes"},
        {"GET", "/containers/c/export"},
        {"GET", "/containers/c/stats"},
        {"POST", "/containers/c/resize"},
        {"POST", "/containers/c/start"},
        {"POST", "/containers/c/stop"},
        {"POST", "/containers/c/restart"},
        {"POST", "/containers/c/kill"},
        {"POST", "/containers/c/update"},
        {"POST", "/containers/c/rename"},
        {"POST", "/containers/c/pause"},
        {"POST", "/containers/c/unpause"},
        {"POST", "/containers/c/attach"},
        {"GET", "/containers/c/attach/ws"},
        {"POST", "/containers/c/wait"},
        {"DELETE", "/containers/c"},
        {"HEAD", "/containers/c/archive"},
        {"GET", "/containers/c/archive"},
        {"PUT", "/containers/c/archive"},
        {"POST", "/containers/prune"},
        {"POST", "/containers/c/exec"},
        {"POST", "/exec/e/start"},
        {"POST", "/exec/e/resize"},
        {"GET", "/exec/e/json"},
        {"GET", "/images/json"},
        {"POST", "/images/create"},
        {"GET", "/images/a/b:1/json"},
        {"GET", "/images/a/history"},
        {"POST", "/images/r:5/a/push"},
        {"POST", "/images/a/tag"},
        {"DELETE", "/images/r:5/a"},
        {"GET", "/images/search"},
        {"POST", "/images/prune"},
        {"GET", "/images/get"},
        {"GET", "/images/a/get"},
        {"POST", "/images/load"},
        {"POST", "/commit"},
        {"POST", "/build"},
        {"POST", "/build/prune"},
        {"POST", "/build/cancel"},
        {"GET", "/networks"},
        {"GET", "/networks/"},
        {"GET", "/networks/n"},
        {"DELETE", "/networks/n"},
        {"POST", "/networks/create"},
        {"POST", "/networks/n/connect"},
        {"POST", "/networks/n/disconnect"},
        {"POST", "/networks/prune"},
        {"GET", "/volumes"},
        {"POST", "/volumes/create"},
        {"GET", "/volumes/v"},
        {"PUT", "/volumes/v"},
        {"DELETE", "/volumes/v"},
        {"POST", "/volumes/prune"},
        {"GET", "/plugins"},
        {"GET", "/plugins/p/json"},
        {"GET", "/swarm"},
        {"GET", "/nodes"},
        {"GET", "/services"},
        {"GET", "/tasks"},
        {"GET", "/secrets"},
        {"GET", "/configs"},
        {"GET", "/distribution/a/json"},
        {"POST", "/session"},
        {"POST", "/grpc"}};
    std::vector<std::string> parameters;
    for (const auto& [method, path] : calls)
        EXPECT_NE(router.find(method, path, parameters), nullptr) << method << " " << path;
    EXPECT_EQ(router.find("PUT", "/containers/json", parameters), nullptr);
    EXPECT_EQ(router.find("GET", "/nothing", parameters), nullptr);
    EXPECT_EQ(router.find("GET", "/containers/" + std::string(100'000, 'x') + "/json", parameters),
              nullptr);
}

TEST(Errors, HaveDockersBody) {
    EXPECT_EQ(error_body(fail(ErrorKind::not_found, "No such container: \"x\"")),
              "{\"message\":\"No such container: \\\"x\\\"\"}\n");
    EXPECT_EQ(status_of(ErrorKind::conflict), 409);
    EXPECT_EQ(status_of(ErrorKind::not_modified), 304);
    EXPECT_EQ(status_of(ErrorKind::not_built), 501);
}

TEST(Filters, TakeBothForms) {
    const engine::Filters wanted{{"label", {"a=b", "c"}}};
    EXPECT_EQ(*parse_filters(R"({"label":{"a=b":true,"c":true}})"), wanted);
    EXPECT_EQ(*parse_filters(R"({"label":["a=b","c"]})"), wanted);
    EXPECT_TRUE(parse_filters("")->empty());
    EXPECT_TRUE(parse_filters("null")->empty());
    for (const auto* bad : {"x", "[]", "1", R"({"a":1})", R"({"a":[1]})", R"({"a":{"b":1}})"})
        EXPECT_EQ(parse_filters(bad).error().message(), "invalid filter") << bad;
}

TEST(Flags, AreFalseInFiveSpellings) {
    for (const auto* text : {"", "0", "no", "FALSE", " none "})
        EXPECT_FALSE(parse_flag(text)) << text;
    for (const auto* text : {"1", "True", "yes", "2", "x"}) EXPECT_TRUE(parse_flag(text)) << text;
}

TEST(Depth, IsBounded) {
    EXPECT_TRUE(check_depth(R"({"a":["]]]}}}[[[[",{"b":"\"["}]})").has_value());
    EXPECT_FALSE(check_depth(std::string(100'000, '[')).has_value());
}

TEST(PathStat, HasGosModes) {
    EXPECT_EQ(go_file_mode(S_IFDIR | 0755), 2147484141U);
    EXPECT_EQ(go_file_mode(S_IFREG | 0644), 420U);
    EXPECT_EQ(go_file_mode(S_IFDIR | S_ISVTX | 0777), (1U << 31 | 1U << 20 | 0777U));
    EXPECT_EQ(go_file_mode(S_IFLNK | 0777), (1U << 27 | 0777U));
    EXPECT_EQ(go_file_mode(S_IFCHR | 0666), (1U << 26 | 1U << 21 | 0666U));
    EXPECT_EQ(go_file_mode(S_IFREG | S_ISUID | S_ISGID | 0755), (1U << 23 | 1U << 22 | 0755U));
}

TEST(PathStat, IsBase64OfJson) {
    const engine::PathStat stat{.name = "tmp",
                                .size = 4096,
                                .mode = S_IFDIR | 0755,
                                .modified = *parse_rfc3339("2026-11-24T03:09:47Z"),
                                .link_target = ""};
    EXPECT_EQ(path_stat_header(stat),
              "eyJuYW1lIjoidG1wIiwic2l6ZSI6NDA5NiwibW9kZSI6MjE0NzQ4NDE0MSwibXRpbWUiOiIyMDI2LTExLTI0"
              "VDAzOjA5OjQ3"
              "WiIsImxpbmtUYXJnZXQiOiIifQ==");
}

TEST(Progress, LooksAsClientsKnowIt) {
    const std::string full(50, '=');
    const std::string empty(50, ' ');
    EXPECT_EQ(render_progress({.status = "Downloading",
                               .progress_detail = apitypes::ProgressDetail{1170, 1170},
                               .id = "84213ce6b75b"}),
              "{\"status\":\"Downloading\",\"progressDetail\":{\"current\":1170,\"total\":1170},"
              "\"progress\":\"[" +
                  full + "\\u003e]   1.17kB/1.17kB\",\"id\":\"84213ce6b75b\"}\r\n");
    EXPECT_EQ(progress_bar({36445, 3002106}), "[>" + empty + "]  36.45kB/3.002MB");
    EXPECT_EQ(progress_bar({36445, 0}), " 36.45kB");
    EXPECT_EQ(progress_bar({}), "");
    EXPECT_EQ(render_progress({.status = "Pulling fs layer",
                               .progress_detail = apitypes::ProgressDetail{},
                               .id = "a"}),
              "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"a\"}\r\n");
    EXPECT_EQ(render_progress({.status = "Status: <done>"}),
              "{\"status\":\"Status: \\u003cdone\\u003e\"}\r\n");
}

TEST(Hijack, SendsExactlyTheseHeads) {
    EXPECT_EQ(hijack_head(true, true, newest),
              "HTTP/1.1 101 UPGRADED\r\nContent-Type: "
              "application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
              "Upgrade: tcp\r\n\r\n");
    EXPECT_THAT(hijack_head(true, false, newest), HasSubstr("vnd.docker.multiplexed-stream\r\n"));
    EXPECT_THAT(hijack_head(true, false, {1, 41}), HasSubstr("vnd.docker.raw-stream\r\n"));
    EXPECT_EQ(hijack_head(false, false, newest),
              "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
    EXPECT_THAT(hijack_head(true, true, newest, {{"Api-Version", "1.51"}}),
                testing::EndsWith("Upgrade: tcp\r\nApi-Version: 1.51\r\n\r\n"));
}

TEST(Hijack, FramesHaveABigEndianLength) {
    EXPECT_EQ(frame(2, "err\n"), std::string("\x02\0\0\0\0\0\0\x04", 8) + "err\n");
    EXPECT_EQ(frame(1, std::string(0x010203, 'x')).substr(0, 8),
              std::string("\x01\0\0\0\0\x01\x02\x03", 8));
}

TEST(Shapes, KeepOldMembersForOldClients) {
    apitypes::ContainerInspect inspect;
    inspect.id = std::string(64, 'a');
    inspect.config.hostname = "host";
    inspect.network_settings.networks["mine"] =
        apitypes::EndpointSettings{.aliases = apitypes::Strings{"web"}};
    inspect.network_settings.networks["bridge"] = apitypes::EndpointSettings{};
    auto old = inspect;
    shape(inspect, newest);
    shape(old, {1, 44});
    EXPECT_THAT(*inspect.network_settings.networks["mine"]->aliases, ElementsAre("web"));
    EXPECT_THAT(*old.network_settings.networks["mine"]->aliases,
                ElementsAre("web", "aaaaaaaaaaaa", "host"));
    EXPECT_FALSE(old.network_settings.networks["bridge"]->aliases.has_value());

    apitypes::ImageSummary dangling{.containers = 3, .size = 7};
    auto dangling_old = dangling;
    shape(dangling, newest);
    shape(dangling_old, {1, 41});
    EXPECT_EQ(dangling.containers, 3);
    EXPECT_FALSE(dangling.virtual_size.has_value());
    EXPECT_EQ(dangling_old.containers, -1);
    EXPECT_EQ(dangling_old.virtual_size, 7);
    EXPECT_THAT(*dangling_old.repo_tags, ElementsAre("<none>:<none>"));

    EXPECT_TRUE(shaped_json(apitypes::ImageInspect{}, {1, 41}).contains("ContainerConfig"));
    EXPECT_FALSE(shaped_json(apitypes::ImageInspect{}, newest).contains("ContainerConfig"));
}

TEST(Shapes, EventsRepeatTheirActor) {
    apitypes::Event event;
    event.type = "container";
    event.action = "start";
    event.actor = {"id", {{"image", "box"}}};
    shape(event, newest);
    EXPECT_EQ(event.status, "start");
    EXPECT_EQ(event.id, "id");
    EXPECT_EQ(event.from, "box");
    event.type = "network";
    shape(event, newest);
    EXPECT_EQ(event.status + event.id + event.from, "");
}

http::Headers handshake(std::string version) {
    http::Headers headers;
    headers.set("Upgrade", "websocket");
    headers.set("Connection", "Upgrade");
    headers.set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    headers.set("Sec-WebSocket-Version", std::move(version));
    return headers;
}

TEST(WebSocketHandshake, IsAnsweredAsInTheRfc) {
    const auto head = websocket_head(handshake("13")).value();
    EXPECT_TRUE(head.starts_with("HTTP/1.1 101 ")) << head;
    EXPECT_TRUE(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) << head;
    EXPECT_EQ(websocket_head(handshake("8")).error().kind(), ErrorKind::invalid);
    EXPECT_EQ(websocket_head(http::Headers()).error().kind(), ErrorKind::invalid);
}

}  // namespace
}  // namespace corten::api
