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
    EXPECT_EQ(changed({"EXPOSE 80-82 7/UDP"}),
              R"({"ExposedPorts":{"7/udp":{},"80/tcp":{},"81/tcp":{},"82/tcp":{}}})");
    EXPECT_EQ(changed({"EXPOSE 90-80"}), "error: invalid containerPort: 90-80");
    EXPECT_EQ(changed({"EXPOSE 80-70000"}), "error: invalid containerPort: 80-70000");
    EXPECT_EQ(changed({"WORKDIR a/./b//", "WORKDIR ../c"}), R"({"WorkingDir":"/a/c"})");
    EXPECT_EQ(changed({"WORKDIR ../../x"}), R"({"WorkingDir":"/x"})");
    EXPECT_EQ(changed({"STOPSIGNAL 9", "STOPSIGNAL RTMIN+3"}), R"({"StopSignal":"RTMIN+3"})");
    EXPECT_EQ(changed({"STOPSIGNAL SIGNONE"}), "error: invalid signal: SIGNONE");
    EXPECT_EQ(changed({"RUN x"}), "error: RUN is not a valid change command");
    EXPECT_EQ(changed({"EXPOSE 99999"}), "error: invalid containerPort: 99999");
    EXPECT_EQ(changed({"USER"}), "error: USER requires at least one argument");
}

TEST(Changes, Healthchecks) {
    EXPECT_EQ(
        changed({R"(HEALTHCHECK --interval=5s --timeout=1m --start-period=0 --start-interval=2s )"
                 R"(--retries=3 CMD ["a","b"])"}),
        R"({"Healthcheck":{"Test":["CMD","a","b"],"Interval":5000000000,)"
        R"("Timeout":60000000000,"StartInterval":2000000000,"Retries":3}})");
    EXPECT_EQ(changed({"HEALTHCHECK CMD true", "HEALTHCHECK none"}),
              R"({"Healthcheck":{"Test":["NONE"]}})");
    EXPECT_EQ(changed({"HEALTHCHECK --interval=1us CMD x"}),
              "error: Interval \"--interval\" cannot be less than 1ms");
    EXPECT_EQ(changed({"HEALTHCHECK --retries=-1 CMD x"}),
              "error: --retries cannot be negative (-1)");
    EXPECT_EQ(changed({"HEALTHCHECK --colour=red CMD x"}), "error: Unknown flag: --colour");
    EXPECT_EQ(changed({"HEALTHCHECK --timeout CMD x"}),
              "error: Missing a value on flag: --timeout");
    EXPECT_EQ(changed({"HEALTHCHECK CMD"}), "error: Missing command after HEALTHCHECK CMD");
    EXPECT_EQ(changed({"HEALTHCHECK TRUE"}),
              "error: Unknown type \"TRUE\" in HEALTHCHECK (try CMD)");
}

}  // namespace corten::image
