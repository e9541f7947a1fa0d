#include <network/etc_files.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corten::network {
namespace {

const std::string localhost_lines =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";
const std::string header = "# Made by Corten for this container, which may change it.\n";

TEST(HostsFile, IsDockers) {
    HostsFile input{"3f4e8c0a1b2c", "", {"172.17.0.2"}, {}, "", true};
    EXPECT_EQ(*hosts_file(input), localhost_lines + "172.17.0.2\t3f4e8c0a1b2c\n");
    input.ipv6 = false;
    EXPECT_EQ(*hosts_file(input), "127.0.0.1\tlocalhost\n172.17.0.2\t3f4e8c0a1b2c\n");
}

TEST(HostsFile, DomainNamesGiveTheShortNameToo) {
    EXPECT_EQ(*hosts_file({"web", "example.org", {"10.0.0.2"}, {}, "", true}),
              localhost_lines + "10.0.0.2\tweb.example.org web\n");
    EXPECT_EQ(*hosts_file({"web.example.org", "", {"10.0.0.2"}, {}, "", true}),
              localhost_lines + "10.0.0.2\tweb.example.org web\n");
}

TEST(HostsFile, ExtraHostsStandBeforeTheOwnLine) {
    const HostsFile input{
        "a",           "",
        {"10.0.0.2"},  {"db:10.1.1.1", "six=[2001:db8::1]", "seven:2001:db8::2", "gw:host-gateway"},
        "172.17.42.1", true};
    EXPECT_EQ(*hosts_file(input), localhost_lines +
                                      "10.1.1.1\tdb\n2001:db8::1\tsix\n2001:db8::2\tseven\n"
                                      "172.17.42.1\tgw\n10.0.0.2\ta\n");
}

TEST(HostsFile, BadExtraHostsAreErrors) {
    for (const auto* entry : {"db", "db:", ":10.0.0.1", "db:10.0.0.256", "a b:10.0.0.1",
                              "a\nb:10.0.0.1", "gw:host-gateway", "a:10.0.0.1\n10.0.0.2 b"})
        EXPECT_FALSE(extra_host_lines({entry}, "")) << entry;
    EXPECT_FALSE(hosts_file({"a\n6.6.6.6 b", "", {"10.0.0.2"}, {}, "", true}));
}

TEST(ResolvConfTest, LoopbackServersAreLeftOut) {
    EXPECT_EQ(resolv_conf("# host\nnameserver 127.0.0.53\nnameserver 10.0.0.53\nnameserver ::1\n"
                          "search example.org  lan\noptions edns0\n",
                          {}),
              header + "nameserver 10.0.0.53\nsearch example.org lan\noptions edns0\n");
    EXPECT_EQ(resolv_conf("nameserver 127.0.0.1\n", {}),
              header + "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
    EXPECT_EQ(resolv_conf("", {}), header + "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

TEST(ResolvConfTest, UserReplacesTheHosts) {
    EXPECT_EQ(
        resolv_conf("nameserver 10.0.0.53\nsearch lan\noptions edns0\n",
                    {{"1.1.1.1", "127.0.0.1"}, {"corp.example"}, {"ndots:2"}}),
        header +
            "nameserver 1.1.1.1\nnameserver 127.0.0.1\nsearch corp.example\noptions ndots:2\n");
    EXPECT_EQ(resolv_conf("nameserver 10.0.0.53\nsearch lan\n", {{}, {"."}, {}}),
              header + "nameserver 10.0.0.53\n");
}

TEST(ResolvConfTest, HostNetworkKeepsTheFile) {
    const std::string host = "# mine\nnameserver 127.0.0.53\n";
    EXPECT_EQ(resolv_conf_host_network(host, {}), host);
    EXPECT_EQ(resolv_conf_host_network(host, {{}, {"lan"}, {}}),
              header + "nameserver 127.0.0.53\nsearch lan\n");
}

TEST(ResolvConfTest, InternalServer) {
    EXPECT_EQ(resolv_conf_internal_server("nameserver 10.0.0.53\nsearch lan\noptions edns0\n", {}),
              header + "nameserver 127.0.0.11\nsearch lan\noptions edns0 ndots:0\n");
}

TEST(ResolvConf, ServersOfAHost) {
    EXPECT_THAT(nameservers_in("nameserver 127.0.0.53\nnameserver fd00::1\nsearch x\n"),
                testing::ElementsAre("127.0.0.53", "fd00::1"));
    EXPECT_THAT(nameservers_in("search x\n"), testing::ElementsAre("8.8.8.8", "8.8.4.4"));
}

TEST(HostsFile, OwnLinesComeAndGo) {
    const auto names = own_host_names("web", "example.org");
    EXPECT_EQ(names, "web.example.org web");
    const std::string before = "127.0.0.1\tlocalhost\n10.0.0.2\tweb.example.org web\n";
    const auto more = with_host(before, "10.0.0.3", names);
    EXPECT_EQ(more, before + "10.0.0.3\tweb.example.org web\n");
    EXPECT_EQ(without_host(more, "10.0.0.2", names),
              "127.0.0.1\tlocalhost\n10.0.0.3\tweb.example.org web\n");
    EXPECT_EQ(without_host(more, "10.0.0.2", "other"), more);
    EXPECT_EQ(with_host("10.0.0.9\tx", "10.0.0.3", "y"), "10.0.0.9\tx\n10.0.0.3\ty\n");
    EXPECT_EQ(without_host("10.0.0.9\tx", "10.0.0.3", "y"), "10.0.0.9\tx");
}

TEST(ResolvConfTest, StubResolverMeansAnotherFile) {
    EXPECT_EQ(host_resolv_conf_path("nameserver 127.0.0.53\n"), "/run/systemd/resolve/resolv.conf");
    EXPECT_EQ(host_resolv_conf_path("nameserver 10.0.0.1\n"), "/etc/resolv.conf");
}

TEST(ResolvConfTest, UserInputIsChecked) {
    EXPECT_TRUE(check_resolv_conf({{"1.1.1.1", "2001:db8::1"}, {"lan", "."}, {"ndots:1"}}));
    EXPECT_FALSE(check_resolv_conf({{"dns.example"}, {}, {}}));
    EXPECT_FALSE(check_resolv_conf({{}, {"a\nnameserver 6.6.6.6"}, {}}));
    EXPECT_FALSE(check_resolv_conf({{}, {}, {"a b"}}));
}

}  // namespace
}  // namespace corten::network
