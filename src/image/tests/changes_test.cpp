#include <image/changes.hpp>

#include <gtest/gtest.h>

namespace corten::image {

namespace {

std::string changed(const std::vector<std::string>& instructions) {
    oci::ImageConfig config;
    const auto result = apply_changes(config, instructions);
    return result ? dump_json(to_json(config)) : "error: " + result.error().message();
}

}  // namespace

TEST(Changes, CommandsInBothForms) {
    EXPECT_EQ(changed({R"(CMD ["a","b c"])"}), R"({"Cmd":["a","b c"]})");
    EXPECT_EQ(changed({"cmd echo hi"}), R"({"Cmd":["/bin/sh","-c","echo hi"]})");
    EXPECT_EQ(changed({R"(ENTRYPOINT ["x"])"}), R"({"Entrypoint":["x"]})");
}

TEST(Changes, Assignments) {
    EXPECT_EQ(changed({R"(ENV A=1 B="two words")", "ENV A 3 4"}),
              R"({"Env":["A=3 4","B=two words"]})");
    EXPECT_EQ(changed({"LABEL a=b"}), R"({"Labels":{"a":"b"}})");
    EXPECT_TRUE(changed({"ENV A"}).starts_with("error: ENV must have two arguments"));
    EXPECT_TRUE(changed({"ENV A=1 B"}).starts_with("error: Syntax error"));
}

TEST(Changes, TheOthers) {
    EXPECT_EQ(changed({"EXPOSE 80 53/udp"}), R"({"ExposedPorts":{"53/udp":{},"80/tcp":{}}})");
    EXPECT_EQ(changed({R"(VOLUME ["/a"])", "VOLUME /b"}), R"({"Volumes":{"/a":{},"/b":{}}})");
    EXPECT_EQ(changed({"WORKDIR /a", "WORKDIR b"}), R"({"WorkingDir":"/a/b"})");
    EXPECT_EQ(changed({"USER 1:2", "STOPSIGNAL SIGINT"}),
              R"({"User":"1:2","StopSignal":"SIGINT"})");
    EXPECT_EQ(changed({"HEALTHCHECK CMD true"}),
              R"({"Healthcheck":{"Test":["CMD-SHELL","true"]}})");
    EXPECT_EQ(changed({"RUN x"}), "error: RUN is not a valid change command");
    EXPECT_EQ(changed({"EXPOSE 99999"}), "error: invalid containerPort: 99999");
    EXPECT_EQ(changed({"USER"}), "error: USER requires at least one argument");
}

}  // namespace corten::image
