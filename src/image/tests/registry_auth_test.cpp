#include <base/text.hpp>
#include <image/challenge.hpp>
#include <image/credentials.hpp>
#include <image/endpoints.hpp>

#include <gtest/gtest.h>

namespace corten::image {

TEST(Challenge, BearerWithQuotedParameters) {
    const auto found = parse_challenges(
        R"(Bearer realm="https://auth.example/token",service="reg,1",scope="repository:a/b:pull,push")");
    ASSERT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].scheme, "bearer");
    EXPECT_EQ(found[0].parameter("realm"), "https://auth.example/token");
    EXPECT_EQ(found[0].parameter("service"), "reg,1");
    EXPECT_EQ(found[0].parameter("scope"), "repository:a/b:pull,push");
    EXPECT_EQ(found[0].parameter("none"), "");
}

TEST(Challenge, SeveralInOneField) {
    const auto found = parse_challenges(R"(BASIC realm=x, Bearer realm="a\"b" , service = y)");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].scheme, "basic");
    EXPECT_EQ(found[0].parameter("realm"), "x");
    EXPECT_EQ(found[1].parameter("realm"), "a\"b");
    EXPECT_EQ(found[1].parameter("service"), "y");
}

TEST(Challenge, NonsenseEndsTheList) {
    EXPECT_TRUE(parse_challenges("").empty());
    EXPECT_TRUE(parse_challenges(",,, =").empty());
    EXPECT_EQ(parse_challenges(R"(Bearer realm="never closed)").size(), 1u);
    EXPECT_EQ(parse_challenges("Basic").size(), 1u);
}

TEST(Token, EitherName) {
    EXPECT_EQ(parse_token(R"({"token":"t","expires_in":300})")->lifetime, 300);
    EXPECT_EQ(parse_token(R"({"access_token":"a"})")->value, "a");
    EXPECT_EQ(parse_token(R"({"token":"t","expires_in":1})")->lifetime, 60);
    EXPECT_FALSE(parse_token(R"({"token":""})"));
    EXPECT_FALSE(parse_token("<html>"));
}

Reference repository(std::string_view name) {
    return Reference::parse(name).value();
}

/// "https://mirror.example/v2/team/app" of each endpoint.
std::vector<std::string> places(std::string_view name, const RegistryConfig& config) {
    std::vector<std::string> all;
    for (const auto& endpoint : endpoints_of(repository(name), config))
        all.push_back(fmt::format("{}/v2/{}", endpoint.base(), endpoint.path));
    return all;
}

using Places = std::vector<std::string>;

TEST(Endpoints, AMirrorStandsBeforeWhatItMirrors) {
    const RegistryConfig config{
        .insecure = {},
        .mirrors = {parse_mirror("docker.io", "http://127.0.0.1:5000/hub/").value(),
                    parse_mirror("docker.io/library", "official.example").value(),
                    parse_mirror("reg.example/team", "https://cache.example/theirs").value(),
                    parse_mirror("*.corp.example", "https://corp-cache.example").value()}};
    EXPECT_EQ(places("debian", {}), Places{"https://registry-1.docker.io/v2/library/debian"});
    EXPECT_EQ(places("debian", config), (Places{"http://127.0.0.1:5000/v2/hub/library/debian",
                                                "https://official.example/v2/debian",
                                                "https://registry-1.docker.io/v2/library/debian"}));
    EXPECT_EQ(places("reg.example/team/app", config),
              (Places{"https://cache.example/v2/theirs/app", "https://reg.example/v2/team/app"}));
    EXPECT_EQ(places("reg.example/teams/app", config), Places{"https://reg.example/v2/teams/app"});
    EXPECT_EQ(places("a.corp.example/x/y", config),
              (Places{"https://corp-cache.example/v2/x/y", "https://a.corp.example/v2/x/y"}));
}

TEST(Endpoints, AMirrorThatIsNoAddressIsRefused) {
    for (const auto* url : {"", "ftp://a", "https://", "http://a?b", "http://u:p@a", "http://a b"})
        EXPECT_EQ(parse_mirror("docker.io", url).error().kind(), ErrorKind::invalid) << url;
    EXPECT_FALSE(parse_mirror("", "https://a"));
}

TEST(Endpoints, WhatIsBlockedOrNotAllowedIsNotUsed) {
    const RegistryConfig config{
        .insecure = {},
        .mirrors = {},
        .allowed = {"docker.io/library", "reg.example:5000", "*.corp.example"},
        .blocked = {"reg.example:5000/secret", "bad.corp.example"}};
    for (const auto* good : {"debian", "reg.example:5000/a", "x.corp.example/a"})
        EXPECT_TRUE(check_allowed(repository(good), config)) << good;
    for (const auto* bad :
         {"someone/debian", "reg.example/a", "reg.example:5000/secret/a", "bad.corp.example/a",
          "corp.example/a", "evilcorp.example/a", "docker.io/librarything/a"})
        EXPECT_EQ(check_allowed(repository(bad), config).error().kind(), ErrorKind::forbidden)
            << bad;
    EXPECT_TRUE(check_allowed({.domain = "docker.io"}, config)) << "a login to a part of it";
    EXPECT_FALSE(check_allowed({.domain = "bad.corp.example"}, config));
    EXPECT_FALSE(check_allowed({.domain = "elsewhere.example"}, config));
}

TEST(Endpoints, AHostIsTheSameHoweverItIsWritten) {
    const RegistryConfig config{.insecure = {},
                                .mirrors = {},
                                .allowed = {},
                                .blocked = {"docker.io", "reg.example/x", "PORT.example:443",
                                            "other.example:5000", "*.Corp.example"}};
    for (const auto* bad :
         {"REG.example/x", "reg.example:443/x", "Reg.Example:443/x/y", "port.example/a",
          "registry-1.docker.io/library/a", "index.docker.io/library/a", "docker.io/a",
          "Docker.IO/library/a", "registry-1.docker.io:443/a", "OTHER.example:5000/a",
          "A.CORP.example:443/a"})
        EXPECT_FALSE(check_allowed(repository(bad), config)) << bad;
    for (const auto* good : {"reg.example:444/x", "reg.example/xx", "other.example/a"})
        EXPECT_TRUE(check_allowed(repository(good), config)) << good;
    EXPECT_FALSE(check_allowed({.domain = "REGISTRY-1.docker.io"}, config));
    EXPECT_TRUE(check_allowed(repository("REG.example:443/x"),
                              {.insecure = {}, .mirrors = {}, .allowed = {"reg.example"}}));
    const RegistryConfig mirrored{
        .insecure = {},
        .mirrors = {parse_mirror("Reg.example/team", "https://cache.example/theirs").value()}};
    EXPECT_EQ(places("REG.example:443/team/app", mirrored).front(),
              "https://cache.example/v2/theirs/app");
}

TEST(Endpoints, PlainHttpOnlyWhereItIsAllowed) {
    const auto of = [](std::string_view domain) {
        return endpoints_of({.domain = std::string(domain), .path = "a"}, {});
    };
    EXPECT_EQ(of("example.com").size(), 1u);
    EXPECT_TRUE(of("example.com")[0].verify);
    EXPECT_EQ(of("localhost:5000").size(), 2u);
    EXPECT_EQ(of("127.0.0.1:5000")[1].base(), "http://127.0.0.1:5000");
    EXPECT_EQ(of("[::1]:5000").size(), 2u);
    EXPECT_TRUE(is_insecure("10.1.2.3:5000", {"10.1.0.0/16"}));
    EXPECT_FALSE(is_insecure("10.2.2.3:5000", {"10.1.0.0/16"}));
    EXPECT_TRUE(is_insecure("reg.example:5000", {"reg.example:5000"}));
    EXPECT_FALSE(is_insecure("reg.example:5001", {"reg.example:5000"}));
    EXPECT_FALSE(is_insecure("reg.example:5000", {"reg.example"}));
    EXPECT_TRUE(is_insecure("reg.example", {"reg.example"}));
    EXPECT_FALSE(is_insecure("127.evil.example", {}));
}

}  // namespace corten::image
