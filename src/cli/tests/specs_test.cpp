#include "specs.hpp"

#include "create_flags.hpp"
#include "create_request.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace corten::cli {

namespace {

std::string publish(const std::string& spec) {
    PublishedPorts ports;
    const auto result = parse_publish(spec, ports);
    if (!result) return result.error().message();
    std::string out;
    for (const auto& [key, bindings] : ports.bindings)
        for (const auto& binding : *bindings)
            out += fmt::format("{}={}:{} ", key, binding.host_ip, binding.host_port);
    return out;
}

std::string mount(const std::string& spec) {
    const auto result = parse_mount(spec);
    return result ? dump_json(to_json(*result)) : result.error().message();
}

Result<apitypes::CreateRequest> create(std::vector<std::string> words) {
    const auto line = parse_flags(create_flags(), words, FlagOrder::before_arguments);
    if (!line) return line.error();
    return make_create_request(*line);
}

std::string create_error(std::vector<std::string> words) {
    const auto request = create(std::move(words));
    return request ? "no error" : request.error().message();
}

}  // namespace

TEST(Ports, EveryForm) {
    EXPECT_EQ(publish("80"), "80/tcp=: ");
    EXPECT_EQ(publish("8080:80"), "80/tcp=:8080 ");
    EXPECT_EQ(publish("127.0.0.1:8080:80/udp"), "80/udp=127.0.0.1:8080 ");
    EXPECT_EQ(publish("127.0.0.1::80"), "80/tcp=127.0.0.1: ");
    EXPECT_EQ(publish("[::1]:1:2"), "2/tcp=::1:1 ");
    EXPECT_EQ(publish("8000-8001:80-81"), "80/tcp=:8000 81/tcp=:8001 ");
    EXPECT_EQ(publish("8000-8009:80"), "80/tcp=:8000-8009 ");
    EXPECT_EQ(publish("published=8080,target=80,protocol=udp"), "80/udp=:8080 ");
}

TEST(Ports, Errors) {
    EXPECT_EQ(publish("99999:80"), "invalid hostPort: 99999");
    EXPECT_EQ(publish("80:x"), "invalid containerPort: x");
    EXPECT_EQ(publish("1-2:80-85"),
              "invalid ranges specified for container and host Ports: 80-85 and 1-2");
    EXPECT_EQ(publish("80:80/icmp"), "invalid proto: icmp");
    EXPECT_EQ(publish("1.2.3:80:80"), "invalid IP address: 1.2.3");
    EXPECT_EQ(publish("80:"), "no port specified: 80:<empty>");
    apitypes::NameSet exposed;
    EXPECT_TRUE(parse_expose("80-82/udp", exposed));
    EXPECT_EQ(exposed.size(), 3u);
    EXPECT_EQ(parse_expose("1:2", exposed).error().message(),
              "invalid port format for --expose: 1:2");
}

TEST(Volumes, BindsAndAnonymousOnes) {
    apitypes::Strings binds;
    apitypes::NameSet volumes;
    EXPECT_TRUE(parse_volume("/data/", binds, volumes));
    EXPECT_TRUE(parse_volume("named:/x:ro", binds, volumes));
    EXPECT_TRUE(parse_volume("/a:/b", binds, volumes));
    EXPECT_EQ(binds, (apitypes::Strings{"named:/x:ro", "/a:/b"}));
    EXPECT_TRUE(volumes.contains("/data"));
    EXPECT_TRUE(parse_volume("./rel:/b", binds, volumes));
    EXPECT_TRUE(binds.back().starts_with('/'));
    EXPECT_FALSE(parse_volume("a:b:c:d", binds, volumes));
    EXPECT_FALSE(parse_volume(":/b", binds, volumes));
}

TEST(Mounts, Fields) {
    EXPECT_EQ(mount("type=bind,src=/a,dst=/b,readonly"),
              R"({"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true})");
    EXPECT_EQ(mount("source=v,target=/x,volume-nocopy=true,volume-label=a=b"),
              R"({"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"NoCopy":true,)"
              R"("Labels":{"a":"b"}}})");
    EXPECT_EQ(mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777"),
              R"({"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1048576,"Mode":1023}})");
    EXPECT_EQ(mount("type=volume,dst=/x,\"volume-opt=o=addr=1,rw\""),
              R"({"Type":"volume","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":)"
              R"({"o":"addr=1,rw"}}}})");
    EXPECT_EQ(mount("foo"), "invalid field 'foo' must be a key=value pair");
    EXPECT_EQ(mount("type=bind,src=/a"), "target is required");
    EXPECT_EQ(mount("type=tmpfs,dst=/a,bind-propagation=shared"),
              "cannot mix 'bind-*' options with mount type 'tmpfs'");
    EXPECT_EQ(mount("foo=bar,dst=/x"), "unknown option 'foo' in 'foo=bar'");
}

TEST(Limits, DevicesUlimitsAndRates) {
    EXPECT_EQ(parse_device("/dev/a").value().path_in_container, "/dev/a");
    EXPECT_EQ(parse_device("/dev/a:r").value().cgroup_permissions, "r");
    EXPECT_EQ(parse_device("/dev/a:/dev/b:rw").value().cgroup_permissions, "rw");
    EXPECT_FALSE(parse_device("/dev/a:/dev/b:xyz").has_value());
    EXPECT_TRUE(is_cdi_device("nvidia.com/gpu=all"));
    EXPECT_FALSE(is_cdi_device("/dev/x"));
    EXPECT_EQ(parse_ulimit("nofile=10:20").value().hard, 20);
    EXPECT_EQ(parse_ulimit("nofile=10").value().hard, 10);
    EXPECT_EQ(parse_ulimit("core=-1").value().soft, -1);
    EXPECT_EQ(parse_ulimit("foo=1").error().message(), "invalid ulimit type: foo");
    EXPECT_FALSE(parse_ulimit("nofile=20:10").has_value());
    EXPECT_EQ(parse_throttle_bytes("/dev/sda:1mb").value().rate, 1048576u);
    EXPECT_EQ(parse_throttle_operations("/dev/sda:7").value().rate, 7u);
    EXPECT_FALSE(parse_weight_device("/dev/sda:5").has_value());
    EXPECT_EQ(parse_weight_device("sda:5").error().message(), "bad format for device path: sda:5");
    EXPECT_EQ(parse_cpus("1.5").value(), 1'500'000'000);
    EXPECT_EQ(parse_cpus(".25").value(), 250'000'000);
    EXPECT_FALSE(parse_cpus("0.0000000001").has_value());
    EXPECT_FALSE(parse_cpus("x").has_value());
    EXPECT_EQ(parse_restart_policy("on-failure:3").value().maximum_retry_count, 3);
    EXPECT_FALSE(parse_restart_policy("on-failure:x").has_value());
}

TEST(Environment, FilesFirstThenFlags) {
    ::setenv("CORTEN_TEST_OWN", "mine", 1);
    const std::string path = ::testing::TempDir() + "corten-env-test";
    std::ofstream(path)
        << "\xEF\xBB\xBF# comment\n\n A=1\nB = no\r\nCORTEN_TEST_OWN\nNOT_SET_AT_ALL\n";
    const auto bad = parse_environment({path}, {});
    EXPECT_NE(bad.error().message().find("variable 'B ' contains whitespaces"), std::string::npos);
    std::ofstream(path) << "A=1\nCORTEN_TEST_OWN\nNOT_SET_AT_ALL\n";
    EXPECT_EQ(
        parse_environment({path}, {"A=2", "CORTEN_TEST_OWN", "GONE"}).value(),
        (apitypes::Strings{"A=1", "CORTEN_TEST_OWN=mine", "A=2", "CORTEN_TEST_OWN=mine", "GONE"}));
    EXPECT_FALSE(parse_environment({}, {"=x"}).has_value());
    std::remove(path.c_str());
}

TEST(Security, ProfilesAreSentWhole) {
    const std::string path = ::testing::TempDir() + "corten-seccomp-test";
    std::ofstream(path) << "{ \"defaultAction\" : \"SCMP_ACT_ALLOW\" }\n";
    const auto options = parse_security_options(
        {"seccomp=" + path, "no-new-privileges", "systempaths=unconfined", "label:disable"});
    EXPECT_EQ(options.value().options,
              (apitypes::Strings{R"(seccomp={"defaultAction":"SCMP_ACT_ALLOW"})",
                                 "no-new-privileges", "label:disable"}));
    EXPECT_TRUE(options.value().all_system_paths);
    EXPECT_FALSE(parse_security_options({"seccomp"}).has_value());
    EXPECT_FALSE(parse_security_options({"seccomp=/nonexistent"}).has_value());
    std::remove(path.c_str());
}

TEST(Create, DefaultsAreWhatDockerSends) {
    const auto request = create({"img", "sh", "-c", "x"}).value();
    EXPECT_EQ(request.image, "img");
    EXPECT_EQ(request.cmd.values(), (apitypes::Strings{"sh", "-c", "x"}));
    EXPECT_EQ(request.host_config.network_mode, "default");
    EXPECT_TRUE(request.networking_config.endpoints.contains("default"));
    EXPECT_EQ(request.host_config.memory_swappiness, -1);
    EXPECT_EQ(request.host_config.restart_policy.name, "no");
    EXPECT_FALSE(request.host_config.binds.has_value());
    EXPECT_TRUE(request.host_config.dns.has_value());
    EXPECT_TRUE(request.attach_stdout);
    EXPECT_FALSE(request.attach_stdin);
    EXPECT_FALSE(request.entrypoint.has_value());
}

TEST(Create, FlagsReachTheRequest) {
    const auto request = create({"-it",
                                 "--entrypoint",
                                 "",
                                 "--network",
                                 "name=n,alias=a,ip=10.0.0.2",
                                 "--network",
                                 "m",
                                 "--health-cmd",
                                 "true",
                                 "--health-interval=5s",
                                 "-p",
                                 "80:80",
                                 "--cpus",
                                 "0.5",
                                 "--pids-limit=7",
                                 "--init",
                                 "--stop-timeout",
                                 "3",
                                 "--tmpfs",
                                 "/t:size=1m",
                                 "img"})
                             .value();
    EXPECT_EQ(request.entrypoint.values(), apitypes::Strings{""});
    EXPECT_TRUE(request.stdin_once);
    EXPECT_EQ(request.host_config.network_mode, "n");
    EXPECT_EQ(request.networking_config.endpoints.at("n")->ipam_config->ipv4_address, "10.0.0.2");
    EXPECT_TRUE(request.networking_config.endpoints.contains("m"));
    EXPECT_EQ(request.healthcheck->interval, 5'000'000'000);
    EXPECT_EQ(request.host_config.nano_cpus, 500'000'000);
    EXPECT_EQ(request.host_config.init, true);
    EXPECT_EQ(request.stop_timeout, 3);
    EXPECT_EQ(request.host_config.tmpfs.at("/t"), "size=1m");
    EXPECT_EQ(create({"--add-host", "a=1.2.3.4", "i"}).value().host_config.extra_hosts,
              apitypes::Strings{"a:1.2.3.4"});
}

TEST(Create, Conflicts) {
    EXPECT_EQ(create_error({"--rm", "--restart", "always", "i"}),
              "conflicting options: cannot specify both --restart and --rm");
    EXPECT_EQ(create_error({"--no-healthcheck", "--health-cmd", "x", "i"}),
              "--no-healthcheck conflicts with --health-* options");
    EXPECT_EQ(create_error({"--pid", "x", "i"}), "--pid: invalid PID mode");
    EXPECT_EQ(create_error({"--network-alias", "x", "i"}),
              "network-scoped aliases are only supported for user-defined networks");
    EXPECT_EQ(create_error({"--network", "a", "--network", "host", "i"}),
              "conflicting options: cannot attach both user-defined and non-user-defined "
              "network-modes");
    EXPECT_EQ(create_error({"--ulimit", "foo=1", "i"}),
              "invalid argument \"foo=1\" for \"--ulimit\" flag: invalid ulimit type: foo");
}

}  // namespace corten::cli
