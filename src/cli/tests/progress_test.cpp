#include "progress.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

Json line(std::string_view text) {
    return parse_json(text, "test").value();
}

}  // namespace

TEST(Progress, PlainOutputHasNoBars) {
    Progress progress(0);
    EXPECT_EQ(progress.take(line(R"({"status":"Pulling from x","id":"1"})")).value(),
              "1: Pulling from x\n");
    EXPECT_EQ(progress
                  .take(line(R"({"status":"Downloading","id":"aa",
        "progressDetail":{"current":1,"total":2}})"))
                  .value(),
              "");
    EXPECT_EQ(
        progress.take(line(R"({"status":"Pull complete","id":"aa","progressDetail":{}})")).value(),
        "aa: Pull complete\n");
    EXPECT_EQ(progress.take(line(R"({"status":"Status: done"})")).value(), "Status: done\n");
}

TEST(Progress, ATerminalsLinesAreRedrawn) {
    Progress progress(80);
    const auto wait = [&](const char* id) {
        return progress
            .take(
                line(fmt::format(R"({{"status":"Waiting","id":"{}","progressDetail":{{}}}})", id)))
            .value();
    };
    EXPECT_EQ(wait("a"), "a: Waiting\n");
    EXPECT_EQ(wait("b"), "b: Waiting\n");
    EXPECT_EQ(progress
                  .take(line(R"({"status":"Downloading","id":"a",
        "progressDetail":{"current":500,"total":1000}})"))
                  .value(),
              "\x1b[2A\r\x1b[2Ka: Downloading     500B/1kB\x1b[2B\r");
}

TEST(Progress, FailuresAreErrors) {
    Progress progress(0);
    EXPECT_EQ(
        progress.take(line(R"({"errorDetail":{"message":"no"},"error":"no"})")).error().message(),
        "no");
}

TEST(Progress, BarsNeedRoom) {
    EXPECT_EQ(progress_bar(0, 0, 200), "");
    EXPECT_EQ(progress_bar(5, 10, 200),
              "[" + std::string(25, '=') + ">" + std::string(25, ' ') + "]       5B/10B");
    EXPECT_EQ(progress_bar(5, 0, 200), "      5B");
}

}  // namespace corten::cli
