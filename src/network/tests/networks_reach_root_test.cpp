// What reaches what: containers, the host, another machine, published ports.
#include "networks_fixture.hpp"

namespace corten::network {
namespace {

TEST_F(NetworksTest, ContainersReachEachOtherTheHostAndBeyond) {
    start();
    Sandbox a = acquire();
    Sandbox b = acquire();
    EXPECT_EQ(a.endpoints.at(0).ip, "172.17.0.2");
    EXPECT_EQ(b.endpoints.at(0).ip, "172.17.0.3");
    EXPECT_EQ(a.endpoints.at(0).gateway, "172.17.42.1");
    EXPECT_EQ(a.endpoints.at(0).mac, "02:42:ac:11:00:02");

    const Fd neighbour = server_in(b.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    EXPECT_EQ(tcp_reach(a.network_namespace, "172.17.0.3", 80, neighbour), "172.17.0.2");
    const Fd host = server_in(host_, SOCK_STREAM, "0.0.0.0", 81);
    EXPECT_EQ(tcp_reach(a.network_namespace, "172.17.42.1", 81, host), "172.17.0.2");
    const Fd beyond = server_in(outside_, SOCK_STREAM, "0.0.0.0", 82);
    EXPECT_EQ(tcp_reach(a.network_namespace, "192.0.2.2", 82, beyond), "192.0.2.1")
        << "masqueraded";
    EXPECT_EQ(tcp_reach(host_, "172.17.0.3", 80, neighbour), "172.17.42.1");
}

/// With bridged packets passing the IP hooks (br_netfilter) and without: hosts have either.
class PublishTest : public NetworksTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(BridgeNetfilter, PublishTest, testing::Values("0", "1"));

TEST_P(PublishTest, PortIsReachableFromEverywhere) {
    const std::string hooks = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if (!sys::write_existing(hooks, GetParam())) GTEST_SKIP() << "no br_netfilter here";
    Networks& networks = start();
    Sandbox web = acquire();
    Sandbox other = acquire();
    Endpoint& endpoint = web.endpoints.at(0);
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 8080}, {"udp", 53, "", 5353}};
    auto published = networks.publish(endpoint, "web", wanted);
    ASSERT_TRUE(published) << published.error().message();
    EXPECT_THAT(endpoint.ports, testing::ElementsAre(PublishedPort{"tcp", "0.0.0.0", 8080, 80},
                                                     PublishedPort{"udp", "0.0.0.0", 5353, 53}));
    const Fd tcp = server_in(web.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    const Fd udp = server_in(web.network_namespace, SOCK_DGRAM, "0.0.0.0", 53);
    for (const auto& [reach, server, port] :
         {std::tuple{&tcp_reach, &tcp, 8080}, std::tuple{&udp_reach, &udp, 5353}}) {
        const auto at = static_cast<std::uint16_t>(port);
        EXPECT_EQ(reach(outside_, "192.0.2.1", at, *server), "192.0.2.2") << "from another machine";
        EXPECT_EQ(reach(host_, "192.0.2.1", at, *server), "192.0.2.1") << "by the host's address";
        EXPECT_EQ(reach(host_, "127.0.0.1", at, *server), "172.17.42.1") << "by loopback";
        EXPECT_EQ(reach(host_, "172.17.42.1", at, *server), "172.17.42.1") << "by the bridge";
        EXPECT_EQ(reach(other.network_namespace, "192.0.2.1", at, *server), "172.17.42.1")
            << "from a neighbour by the host's address";
        EXPECT_EQ(reach(web.network_namespace, "192.0.2.1", at, *server), "172.17.42.1")
            << "from itself by the host's address";
    }
    networks.release(endpoint);
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, tcp), "") << "after its release";
}

TEST_F(NetworksTest, UdpFlowFollowsThePort) {
    Networks& networks = start();
    Sandbox a = acquire();
    Sandbox b = acquire();
    const std::vector<PortRequest> wanted{{"udp", 53, "", 5353}};
    ASSERT_TRUE(networks.publish(a.endpoints.at(0), "a", wanted));
    const Fd first = server_in(a.network_namespace, SOCK_DGRAM, "0.0.0.0", 53);
    const Fd second = server_in(b.network_namespace, SOCK_DGRAM, "0.0.0.0", 53);
    // One client that keeps its port, and with it the kernel's memory of where it led.
    Fd client = socket_in(outside_, SOCK_DGRAM);
    const auto address = socket_address("192.0.2.1", 5353);
    ASSERT_EQ(::connect(client.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    ASSERT_EQ(::send(client.raw(), "1", 1, 0), 1);
    EXPECT_TRUE(readable(first, 400));
    networks.release(a.endpoints.at(0));
    auto moved = networks.publish(b.endpoints.at(0), "b", wanted);
    ASSERT_TRUE(moved) << moved.error().message();
    networks.wait_idle();
    ASSERT_EQ(::send(client.raw(), "2", 1, 0), 1);
    EXPECT_TRUE(readable(second, 400));
}

TEST_F(NetworksTest, SurvivesTheLossOfItsRules) {
    Networks& networks = start();
    Sandbox a = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 8080}};
    auto other = Firewall::open("corten_ctest0");
    ASSERT_TRUE(other->remove_table());
    EXPECT_FALSE(networks.explain(a.endpoints.at(0))->table_loaded);
    auto published = networks.publish(a.endpoints.at(0), "a", wanted);
    ASSERT_TRUE(published) << published.error().message();
    EXPECT_TRUE(networks.explain(a.endpoints.at(0))->table_loaded);
    const Fd server = server_in(a.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, server), "192.0.2.2");
    ASSERT_TRUE(other->remove_table());
    ASSERT_TRUE(networks.reload());
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, server), "192.0.2.2");
}

TEST_F(NetworksTest, NothingElseGetsIn) {
    Networks& networks = start();
    Sandbox web = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "127.0.0.1", 8080}};
    ASSERT_TRUE(networks.publish(web.endpoints.at(0), "web", wanted));
    const Fd server = server_in(web.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    EXPECT_EQ(tcp_reach(host_, "127.0.0.1", 8080, server), "172.17.42.1");
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, server), "") << "published on loopback only";
    Rtnl outside = *Rtnl::open_in(outside_);
    RtnlBatch batch;
    batch.add_default_route(*Ipv4::parse("192.0.2.1"), (*outside.find("uplink0"))->index);
    ASSERT_TRUE(outside.execute(std::move(batch)));
    EXPECT_EQ(tcp_reach(outside_, web.endpoints.at(0).ip, 80, server), "") << "routed directly";
}

TEST_F(NetworksTest, ContainerCannotReachTheHostsLoopback) {
    start();
    Sandbox box = acquire();
    const Fd server = server_in(host_, SOCK_STREAM, "127.0.0.1", 81);
    // Inside, 127/8 is made to leave by eth0, as a container with CAP_NET_ADMIN could do.
    ASSERT_TRUE(sys::in_network_namespace(box.network_namespace, []() -> Result<void> {
        TRY(sys::write_existing("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1"));
        EXPECT_EQ(::system("ip addr del 127.0.0.1/8 dev lo && "
                           "ip route add 127.0.0.1 via 172.17.42.1 dev eth0 src 172.17.0.2"),
                  0);
        return {};
    }));
    EXPECT_EQ(tcp_reach(box.network_namespace, "127.0.0.1", 81, server), "");
}

TEST_F(NetworksTest, PortsThatAreTaken) {
    Networks& networks = start();
    Sandbox a = acquire();
    Sandbox b = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 8080}};
    ASSERT_TRUE(networks.publish(a.endpoints.at(0), "a", wanted));
    auto again = networks.publish(b.endpoints.at(0), "b", wanted);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().message(),
              "driver failed programming external connectivity on endpoint b (" +
                  b.endpoints.at(0).id +
                  "): Bind for 0.0.0.0:8080 failed: port is already allocated");
    const Fd alien = server_in(host_, SOCK_STREAM, "127.0.0.1", 9090);
    const std::vector<PortRequest> two{{"tcp", 80, "", 9091}, {"tcp", 80, "", 9090}};
    auto foreign = networks.publish(b.endpoints.at(0), "b", two);
    ASSERT_FALSE(foreign);
    EXPECT_THAT(foreign.error().message(),
                HasSubstr("listen tcp4 0.0.0.0:9090: bind: address already in use"));
    EXPECT_TRUE(b.endpoints.at(0).ports.empty());
    const Fd free_again = server_in(host_, SOCK_STREAM, "0.0.0.0", 9091);
    // And the other way round: what is published cannot be taken by another program.
    Fd thief = socket_in(host_, SOCK_STREAM);
    const auto address = socket_address("127.0.0.1", 8080);
    const int on = 1;
    ::setsockopt(thief.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    EXPECT_EQ(::bind(thief.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address), -1);
    EXPECT_EQ(errno, EADDRINUSE);
}

TEST_F(NetworksTest, EphemeralPortsAndRanges) {
    Networks& networks = start();
    Sandbox a = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 0},
                                          {"tcp", 81, "", 0},
                                          {"tcp", 82, "", 7000, 7001},
                                          {"tcp", 83, "", 7000, 7001}};
    auto published = networks.publish(a.endpoints.at(0), "a", wanted);
    ASSERT_TRUE(published) << published.error().message();
    const auto& ports = a.endpoints.at(0).ports;
    EXPECT_EQ(ports[0].host_port, 32768);
    EXPECT_EQ(ports[1].host_port, 32769);
    EXPECT_EQ(ports[2].host_port, 7000);
    EXPECT_EQ(ports[3].host_port, 7001);
    const std::vector<PortRequest> sctp{{"sctp", 80, "", 7000}};
    EXPECT_TRUE(networks.publish(a.endpoints.at(0), "a", sctp));
    const std::vector<PortRequest> elsewhere{{"tcp", 80, "198.51.100.1", 7002}};
    auto failed = networks.publish(a.endpoints.at(0), "a", elsewhere);
    ASSERT_FALSE(failed);
    EXPECT_THAT(failed.error().message(), HasSubstr("cannot assign requested address"));
}

}  // namespace
}  // namespace corten::network
