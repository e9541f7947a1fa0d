// The replies' members, held against what a real engine of 28.5 sends: golden/*.json are replies
// with every string, number and flag made alike, without containerd's own part of `info`. What is
// read from one must be written the same.
#include <apitypes/container.hpp>
#include <apitypes/event.hpp>
#include <apitypes/image.hpp>
#include <apitypes/network.hpp>
#include <apitypes/stats.hpp>
#include <apitypes/system.hpp>
#include <apitypes/volume.hpp>
#include <sys/file.hpp>

#include <gtest/gtest.h>

namespace corten::api {
namespace {

/// Without the order of members, and one member a line, so that a difference can be read.
std::string comparable(const Json& json) {
    return nlohmann::json::parse(json.dump()).dump(1);
}

template <typename T>
void expect_same(const std::string& name) {
    const std::string here = __FILE__;
    const auto path = here.substr(0, here.rfind('/')) + "/golden/" + name + ".json";
    const auto golden = parse_json(*sys::read_file(path), name);
    ASSERT_TRUE(golden.has_value()) << golden.error().message();
    const auto value = from_json<T>(*golden);
    ASSERT_TRUE(value.has_value()) << value.error().message();
    EXPECT_EQ(comparable(corten::to_json(*value)), comparable(*golden)) << name;
}

TEST(Golden, ContainerInspect) {
    expect_same<apitypes::ContainerInspect>("container-inspect");
}
TEST(Golden, ContainerList) {
    expect_same<std::vector<apitypes::ContainerSummary>>("containers-list");
}
TEST(Golden, ImageInspect) {
    expect_same<apitypes::ImageInspect>("image-inspect");
}
TEST(Golden, ImageList) {
    expect_same<std::vector<apitypes::ImageSummary>>("images-list");
}
TEST(Golden, Info) {
    expect_same<apitypes::Info>("info");
}
TEST(Golden, Version) {
    expect_same<apitypes::Version>("version");
}
TEST(Golden, NetworkInspect) {
    expect_same<apitypes::NetworkInspect>("network-inspect");
}
TEST(Golden, Stats) {
    expect_same<apitypes::Stats>("stats");
}
TEST(Golden, DiskUsage) {
    expect_same<apitypes::DiskUsage>("system-df");
}
TEST(Golden, Top) {
    expect_same<apitypes::TopReply>("top");
}
TEST(Golden, Volumes) {
    expect_same<apitypes::VolumeList>("volumes");
}
TEST(Golden, Event) {
    expect_same<apitypes::Event>("event");
}

}  // namespace
}  // namespace corten::api
