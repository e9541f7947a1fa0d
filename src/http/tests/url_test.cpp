#include <http/client.hpp>
#include <http/headers.hpp>
#include <http/url.hpp>

#include <gtest/gtest.h>

namespace corten::http {
namespace {

TEST(Url, TakesPartsApart) {
    const auto url = parse_url("HTTPS://u:p@Registry.example:5000/v2/a?x=1#frag");
    ASSERT_TRUE(url.has_value()) << url.error().message();
    EXPECT_EQ(url->scheme, "https");
    EXPECT_EQ(url->user, "u:p");
    EXPECT_EQ(url->host, "Registry.example");
    EXPECT_EQ(url->port, "5000");
    EXPECT_EQ(url->target, "/v2/a?x=1");
    EXPECT_EQ(url->authority(), "Registry.example:5000");
}

TEST(Url, DefaultsPortAndPath) {
    const auto url = parse_url("http://[::1]?q");
    ASSERT_TRUE(url.has_value());
    EXPECT_EQ(url->host, "::1");
    EXPECT_EQ(url->port, "80");
    EXPECT_EQ(url->target, "/?q");
    EXPECT_EQ(url->authority(), "[::1]");
}

TEST(Url, RefusesWhatIsNone) {
    for (const auto* text : {"", "nothing", "://x", "http://", "http://h:port/", "http://[::1/"})
        EXPECT_FALSE(parse_url(text).has_value()) << text;
}

TEST(Url, ResolvesLocations) {
    const auto base = parse_url("https://r.example/v2/a/blobs/uploads/?x=1");
    const auto resolved = [&](std::string_view location) {
        return to_string(*resolve_url(*base, location));
    };
    EXPECT_EQ(resolved("https://cdn.example/b?sig=http://x"), "https://cdn.example/b?sig=http://x");
    EXPECT_EQ(resolved("/v2/b"), "https://r.example/v2/b");
    EXPECT_EQ(resolved("uuid?y=2"), "https://r.example/v2/a/blobs/uploads/uuid?y=2");
    EXPECT_EQ(resolved("../x"), "https://r.example/v2/a/blobs/x");
    EXPECT_EQ(resolved("//other/z"), "https://other/z");
    EXPECT_EQ(resolved("/a?next=http://evil"), "https://r.example/a?next=http://evil");
}

TEST(Query, DecodesAndKeepsOrder) {
    const auto query = Query::parse("a=1&b=x%2Fy+z&a=2&flag&bad=%zz&=");
    EXPECT_EQ(query.get("a"), "1");
    EXPECT_EQ(query.all("a").size(), 2U);
    EXPECT_EQ(query.get("b"), "x/y z");
    EXPECT_EQ(query.get("flag"), "");
    EXPECT_EQ(query.get("bad"), "%zz");
    EXPECT_FALSE(query.contains("c"));
}

TEST(Percent, IsTheInverseOfItself) {
    const std::string all = "a/b?c=d&e f%\xc3\xa4";
    EXPECT_EQ(percent_encode(all), "a%2Fb%3Fc%3Dd%26e%20f%25%C3%A4");
    EXPECT_EQ(*percent_decode(percent_encode(all)), all);
    EXPECT_FALSE(percent_decode("%4").has_value());
    EXPECT_FALSE(percent_decode("%00").has_value());
}

TEST(Headers, CompareWithoutCaseAndKeepLinesWhole) {
    Headers headers{{"Content-Type", "a"}};
    headers.add("X", "1\r\nInjected: 2");
    EXPECT_EQ(headers.get("content-type"), "a");
    std::string out;
    headers.append_to(out);
    EXPECT_EQ(out, "Content-Type: a\r\nX: 1Injected: 2\r\n");
    headers.set("CONTENT-TYPE", "b");
    EXPECT_EQ(headers.all("content-type").size(), 1U);
    EXPECT_TRUE(
        (Headers{{"Connection", "keep-alive, Upgrade"}}).has_token("connection", "upgrade"));
}

TEST(Proxy, FollowsTheEnvironment) {
    const auto ask = [](const char* url, std::map<std::string, std::string> environment) {
        return proxy_for(*parse_url(url), [environment](const std::string& name) {
            const auto found = environment.find(name);
            return found == environment.end() ? std::string() : found->second;
        });
    };
    EXPECT_EQ(ask("https://a.example/", {{"HTTPS_PROXY", "p:1"}}), "p:1");
    EXPECT_EQ(ask("http://a.example/", {{"https_proxy", "p:1"}}), "");
    EXPECT_EQ(ask("https://a.example/", {{"https_proxy", "p:1"}, {"no_proxy", "b,.example"}}), "");
    EXPECT_EQ(ask("https://a.example/", {{"https_proxy", "p:1"}, {"no_proxy", "xample"}}), "p:1");
    EXPECT_EQ(ask("https://10.1.2.3/", {{"https_proxy", "p:1"}, {"no_proxy", "10.0.0.0/8"}}), "");
    EXPECT_EQ(ask("https://11.1.2.3/", {{"https_proxy", "p:1"}, {"no_proxy", "10.0.0.0/8"}}),
              "p:1");
    EXPECT_EQ(ask("https://localhost:5000/", {{"https_proxy", "p:1"}}), "");
    EXPECT_EQ(ask("https://a.example/", {{"https_proxy", "p:1"}, {"no_proxy", "*"}}), "");
}

}  // namespace
}  // namespace corten::http
