#include "reference.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

std::string full(std::string_view text) {
    const auto name = parse_image_name(text);
    if (!name) return name.error().message();
    return name->repository() + "|" + name->tag + "|" + name->digest + "|" + name->familiar();
}

}  // namespace

TEST(ImageName, Normalises) {
    EXPECT_EQ(full("busybox"), "docker.io/library/busybox|latest||busybox:latest");
    EXPECT_EQ(full("a/b:1"), "docker.io/a/b|1||a/b:1");
    EXPECT_EQ(full("localhost:5000/x"), "localhost:5000/x|latest||localhost:5000/x:latest");
    EXPECT_EQ(full("index.docker.io/ubuntu"), "docker.io/library/ubuntu|latest||ubuntu:latest");
    const std::string digest = "sha256:" + std::string(64, 'a');
    EXPECT_EQ(full("x@" + digest), "docker.io/library/x||" + digest + "|x@" + digest);
}

TEST(ImageName, RefusesWhatIsNone) {
    EXPECT_EQ(full("UPPER"),
              "invalid reference format: repository name (library/UPPER) must be lowercase");
    for (const char* text : {"", "a b", "a:", "a//b", "-a", "a__-b", "../x", "a:b c", "x@sha256:1"})
        EXPECT_TRUE(full(text).starts_with("invalid reference format")) << text;
    EXPECT_FALSE(parse_image_name(std::string(64, 'a')).has_value());
}

}  // namespace corten::cli
