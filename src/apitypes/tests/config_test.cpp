#include <apitypes/container.hpp>

#include <gtest/gtest.h>

namespace corten::apitypes {

namespace {

/// The body that docker's command sends for `run -it --rm`, as recorded.
constexpr std::string_view create_body =
    R"({"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,)"
    R"("AttachStderr":true,"Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":null,)"
    R"("Cmd":["sh","-c","exit 3"],"Image":"surfbox","Volumes":{},"WorkingDir":"",)"
    R"("Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,)"
    R"("ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default",)"
    R"("PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"81/tcp":null,"82/tcp":[]},)"
    R"("RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"",)"
    R"("VolumesFrom":null,"ConsoleSize":[40,120],"CapAdd":null,"CapDrop":["ALL"],)"
    R"("CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,)"
    R"("GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"",)"
    R"("Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,)"
    R"("Tmpfs":{"/t":""},"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,)"
    R"("Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],)"
    R"("BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],)"
    R"("BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,)"
    R"("CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],)"
    R"("DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,)"
    R"("MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,)"
    R"("Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}],"CpuCount":0,"CpuPercent":0,)"
    R"("IOMaximumIOps":0,"IOMaximumBandwidth":0,)"
    R"("Mounts":[{"Type":"tmpfs","Target":"/m","TmpfsOptions":{"SizeBytes":5}}],)"
    R"("MaskedPaths":null,"ReadonlyPaths":[],"Init":false},"NetworkingConfig":{)"
    R"("EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,)"
    R"("MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"",)"
    R"("Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"",)"
    R"("GlobalIPv6PrefixLen":0,"DNSNames":null},"other":null}}})";

}  // namespace

TEST(CreateRequest, RoundTripKeepsEveryByte) {
    const auto json = parse_json(create_body, "body").value();
    const auto request = create_request_from(json).value();
    EXPECT_EQ(dump_json(to_json(request)), create_body);
    EXPECT_EQ(request.cmd.values().size(), 3u);
    EXPECT_FALSE(request.entrypoint.has_value());
    EXPECT_EQ(request.host_config.console_size[1], 120u);
    EXPECT_EQ(items(request.host_config.ulimits).at(0).soft, 10);
    EXPECT_FALSE(request.host_config.masked_paths.has_value());
    EXPECT_TRUE(request.host_config.readonly_paths.has_value());
}

TEST(CreateRequest, EmptyBodyIsTheDefault) {
    const auto request = create_request_from(Json::object()).value();
    EXPECT_TRUE(request.image.empty());
    EXPECT_FALSE(request.host_config.memory_swappiness.has_value());
}

TEST(CreateRequest, UnknownMembersAreIgnoredAndWrongOnesNamed) {
    const auto json = parse_json(R"({"Nonsense":{"a":1},"HostConfig":{"Memory":"much"}})", "body");
    const auto request = create_request_from(json.value());
    ASSERT_FALSE(request.has_value());
    EXPECT_EQ(request.error().kind(), ErrorKind::invalid);
    EXPECT_NE(request.error().message().find("HostConfig.Memory"), std::string::npos);
}

TEST(StrSlice, TakesAStringOrAList) {
    const auto one = parse_json(R"({"Cmd":"ls -l","Entrypoint":[""]})", "body").value();
    const auto config = container_config_from(one).value();
    EXPECT_EQ(config.cmd.values(), Strings{"ls -l"});
    EXPECT_EQ(config.entrypoint.values(), Strings{""});
    EXPECT_EQ(to_json(config)["Cmd"].dump(), R"(["ls -l"])");
    EXPECT_FALSE(container_config_from(parse_json(R"({"Cmd":7})", "b").value()).has_value());
    EXPECT_FALSE(container_config_from(parse_json(R"({"Cmd":[7]})", "b").value()).has_value());
}

TEST(CreateRequest, KeysMayHaveAnyCase) {
    const auto json = parse_json(
        R"({"image":"box","hostconfig":{"MEMORY":7000000,"restartpolicy":{"name":"always"},)"
        R"("portbindings":{"80/tcp":[{"hostport":"8080"}]}},"labels":{"Own":"1"},"CMD":"ls"})",
        "body");
    const auto request = create_request_from(json.value()).value();
    EXPECT_EQ(request.image, "box");
    EXPECT_EQ(request.host_config.memory, 7000000);
    EXPECT_EQ(request.host_config.restart_policy.name, "always");
    EXPECT_EQ(request.host_config.port_bindings->at("80/tcp")->front().host_port, "8080");
    EXPECT_EQ(request.labels, (StringMap{{"Own", "1"}}));
    EXPECT_EQ(request.cmd.values(), Strings{"ls"});
    const auto both = parse_json(R"({"image":"wrong","Image":"right"})", "body");
    EXPECT_EQ(create_request_from(both.value())->image, "right");
}

TEST(UpdateRequest, HasResourcesAndPolicy) {
    const auto json = parse_json(
        R"({"Memory":67108864,"Devices":null,"RestartPolicy":{"Name":"always"}})", "body");
    const auto request = update_request_from(json.value()).value();
    EXPECT_EQ(request.memory, 67108864);
    EXPECT_EQ(request.restart_policy.name, "always");
}

}  // namespace corten::apitypes
