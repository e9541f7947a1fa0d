#include <base/reference.hpp>

#include <gtest/gtest.h>

namespace corten {

namespace {

const std::string digest = "sha256:" + std::string(64, 'a');

std::string message(std::string_view text) {
    const auto result = Reference::parse(text);
    return result ? "accepted as " + result->canonical() : result.error().message();
}

}  // namespace

TEST(Reference, ShortNamesBelongToDockerHub) {
    const auto cases = std::vector<std::pair<std::string, std::string>>{
        {"ubuntu", "docker.io/library/ubuntu"},
        {"ubuntu:22.04", "docker.io/library/ubuntu:22.04"},
        {"docker.io/ubuntu", "docker.io/library/ubuntu"},
        {"index.docker.io/ubuntu:x", "docker.io/library/ubuntu:x"},
        {"me/app", "docker.io/me/app"},
        {"localhost/app", "localhost/app"},
        {"localhost:5000/a/b/c:1", "localhost:5000/a/b/c:1"},
        {"LOCAL/app", "LOCAL/app"},
        {"example.com/app@" + digest, "example.com/app@" + digest},
        {"example.com/app:1@" + digest, "example.com/app:1@" + digest},
        {"[::1]:5000/app", "[::1]:5000/app"},
        {"a__b/c-d---e.f_g", "docker.io/a__b/c-d---e.f_g"},
        {"a:5000", "docker.io/library/a:5000"},
    };
    for (const auto& [text, canonical] : cases)
        EXPECT_EQ(message(text), "accepted as " + canonical);
}

TEST(Reference, FamiliarForms) {
    for (const auto& text : std::vector<std::string>{"ubuntu", "ubuntu:1", "me/app:1", "a.b/c:1",
                                                     "library/a/b", "ubuntu@" + digest})
        EXPECT_EQ(Reference::parse(text)->familiar(), text);
    EXPECT_EQ(Reference::parse("docker.io/library/ubuntu")->familiar(), "ubuntu");
    EXPECT_EQ(Reference::parse("ubuntu")->with_default_tag().familiar(), "ubuntu:latest");
    EXPECT_EQ(Reference::parse("ubuntu@" + digest)->with_default_tag().tag, "");
}

TEST(Reference, ErrorsAreDockers) {
    EXPECT_EQ(message(""), "invalid reference format");
    EXPECT_EQ(message("FOO"),
              "invalid reference format: repository name (library/FOO) must be lowercase");
    EXPECT_EQ(message("me/Foo:1"),
              "invalid reference format: repository name (me/Foo) must be lowercase");
    EXPECT_EQ(message(std::string(64, 'a')), "invalid repository name (" + std::string(64, 'a') +
                                                 "), cannot specify 64-byte hexadecimal strings");
    EXPECT_EQ(message("a.b/" + std::string(256, 'a')),
              "repository name must not be more than 255 characters");
    EXPECT_EQ(message("a@sha256:" + std::string(40, 'a')), "invalid checksum digest length");
    EXPECT_EQ(message("a@md5:" + std::string(32, 'a')), "unsupported digest algorithm");
}

TEST(Reference, WhatTheGrammarRefuses) {
    for (const auto& text : std::vector<std::string>{"a b",
                                                     "a/",
                                                     "/a",
                                                     "a//b",
                                                     "a:",
                                                     "a:.x",
                                                     "a:b:c",
                                                     "a@",
                                                     "a@x",
                                                     "-a",
                                                     "a-",
                                                     "a___b",
                                                     "a..b",
                                                     "../../etc",
                                                     "a/../b",
                                                     "ex-.com/a",
                                                     "-x.com/a",
                                                     "a.b:p/c",
                                                     "a.b:/c",
                                                     "a\n",
                                                     "a%2f",
                                                     "a:" + std::string(129, 't'),
                                                     "[::g]/a",
                                                     "[]/a",
                                                     "a@sha256:" + std::string(64, 'z')})
        EXPECT_FALSE(Reference::parse(text)) << text;
}

}  // namespace corten
