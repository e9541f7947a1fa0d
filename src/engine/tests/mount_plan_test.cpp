#include "mount_plan.hpp"

#include "image_defaults.hpp"

#include <gtest/gtest.h>

namespace corten::engine {

namespace {

Result<std::vector<PlannedMount>> plan(apitypes::HostConfig host,
                                       apitypes::ContainerConfig config = {}) {
    return plan_mounts(config, host, [](std::string_view) -> Result<std::vector<PlannedMount>> {
        return std::vector<PlannedMount>{{.type = "volume", .name = "theirs", .target = "/data"},
                                         {.type = "bind", .source = "/srv", .target = "/srv"}};
    });
}

apitypes::HostConfig binds(std::vector<std::string> list) {
    apitypes::HostConfig host;
    host.binds = std::move(list);
    return host;
}

}  // namespace

TEST(MountPlan, ReadsBindsAndVolumes) {
    const auto mounts = plan(binds({"/tmp//x/:/host:ro,rslave", "vol:/data"})).value();
    ASSERT_EQ(mounts.size(), 2u);
    EXPECT_EQ(mounts[0].source, "/tmp/x");
    EXPECT_TRUE(mounts[0].read_only);
    EXPECT_EQ(mounts[0].propagation, "rslave");
    EXPECT_TRUE(mounts[0].create_source);
    EXPECT_EQ(mounts[1].type, "volume");
    EXPECT_EQ(mounts[1].name, "vol");
}

TEST(MountPlan, RefusesWhatMakesNoSense) {
    for (const char* bad :
         {"/a:b", "/a", "/a:/b:nope", "/a:/", "../x:/b", "a/b:/c", "vol:/x/..", ":/x"})
        EXPECT_EQ(plan(binds({bad})).error().kind(), ErrorKind::invalid) << bad;
    EXPECT_FALSE(plan(binds({"/a:/x", "/b:/x/"})).has_value());
}

TEST(MountPlan, ImageVolumesBecomeAnonymousUnlessMountedOver) {
    apitypes::ContainerConfig config;
    config.volumes.emplace();
    (*config.volumes)["/data"];
    (*config.volumes)["/more"];
    const auto mounts = plan(binds({"vol:/data"}), config).value();
    ASSERT_EQ(mounts.size(), 2u);
    EXPECT_EQ(mounts[1].target, "/more");
    EXPECT_TRUE(mounts[1].anonymous);
    EXPECT_EQ(mounts[1].name.size(), 64u);
}

TEST(MountPlan, VolumesFromGiveWay) {
    auto host = binds({"mine:/data"});
    host.volumes_from = {"other:ro"};
    const auto mounts = plan(host).value();
    ASSERT_EQ(mounts.size(), 2u);
    EXPECT_EQ(mounts[0].name, "mine");
    EXPECT_EQ(mounts[1].source, "/srv");
    EXPECT_TRUE(mounts[1].read_only);
}

TEST(CleanPath, NeverClimbsOut) {
    EXPECT_EQ(clean_path("/a//b/../c/"), "/a/c");
    EXPECT_EQ(clean_path("/../../etc"), "/etc");
    EXPECT_EQ(clean_path("/"), "/");
}

TEST(ImageDefaults, EntrypointOfTheUserDropsTheImagesCmd) {
    oci::ImageConfig image;
    image.entrypoint = {"/entry"};
    image.cmd = {"serve"};
    apitypes::ContainerConfig config;
    apply_image_defaults(config, image);
    EXPECT_EQ(command_of(config).value().path, "/entry");
    EXPECT_EQ(command_of(config).value().args, (std::vector<std::string>{"serve"}));

    apitypes::ContainerConfig own;
    own.entrypoint.list = {"/mine"};
    apply_image_defaults(own, image);
    EXPECT_EQ(command_of(own).value().path, "/mine");
    EXPECT_TRUE(command_of(own).value().args.empty());

    apitypes::ContainerConfig cleared;
    cleared.entrypoint.list = {""};
    apply_image_defaults(cleared, image);
    EXPECT_EQ(command_of(cleared).error().message(), "no command specified");
}

TEST(ImageDefaults, EnvironmentOfTheUserWins) {
    oci::ImageConfig image;
    image.env = {"PATH=/bin", "A=1", "B=2"};
    apitypes::ContainerConfig config;
    config.env = {"A=9", "B", "C=3"};
    apply_image_defaults(config, image);
    EXPECT_EQ(*config.env, (std::vector<std::string>{"A=9", "C=3", "PATH=/bin"}));
}

}  // namespace corten::engine
