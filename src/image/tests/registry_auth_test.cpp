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

TEST(RegistryAuth, BadValuesAreAnonymous) {
    EXPECT_TRUE(parse_registry_auth("").anonymous());
    EXPECT_TRUE(parse_registry_auth("e30=").anonymous());
    EXPECT_TRUE(parse_registry_auth("!!").anonymous());
    const auto given = parse_registry_auth(
        base64_encode(R"({"username":"u","password":"p:q","serveraddress":"s"})"));
    EXPECT_EQ(given.username, "u");
    EXPECT_EQ(given.password, "p:q");
    const auto packed =
        parse_registry_auth(base64_encode(R"({"auth":")" + base64_encode("me:secret") + R"("})"));
    EXPECT_EQ(packed.username, "me");
    EXPECT_EQ(packed.password, "secret");
}

TEST(Endpoints, HubAndItsMirrors) {
    const auto plain = endpoints_of("docker.io", {});
    ASSERT_EQ(plain.size(), 1u);
    EXPECT_EQ(plain[0].base(), "https://registry-1.docker.io");
    const auto mirrored = endpoints_of("docker.io", {.mirrors = {"http://127.0.0.1:5000/hub/"}});
    ASSERT_EQ(mirrored.size(), 2u);
    EXPECT_EQ(mirrored[0].base(), "http://127.0.0.1:5000/hub");
    EXPECT_EQ(endpoints_of("a.b", {.mirrors = {"http://127.0.0.1"}}).size(), 1u);
}

TEST(Endpoints, PlainHttpOnlyWhereItIsAllowed) {
    EXPECT_EQ(endpoints_of("example.com", {}).size(), 1u);
    EXPECT_TRUE(endpoints_of("example.com", {})[0].verify);
    EXPECT_EQ(endpoints_of("localhost:5000", {}).size(), 2u);
    EXPECT_EQ(endpoints_of("127.0.0.1:5000", {})[1].base(), "http://127.0.0.1:5000");
    EXPECT_EQ(endpoints_of("[::1]:5000", {}).size(), 2u);
    EXPECT_TRUE(is_insecure("10.1.2.3:5000", {"10.1.0.0/16"}));
    EXPECT_FALSE(is_insecure("10.2.2.3:5000", {"10.1.0.0/16"}));
    EXPECT_TRUE(is_insecure("reg.example:5000", {"reg.example:5000"}));
    EXPECT_FALSE(is_insecure("reg.example:5001", {"reg.example:5000"}));
    EXPECT_FALSE(is_insecure("127.evil.example", {}));
}

}  // namespace corten::image
