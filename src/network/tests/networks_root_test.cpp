// The whole library in a network namespace that plays the host, with a second one that plays
// another machine: 192.0.2.1 (host) -- 192.0.2.2 (outside).
#include "bridge.hpp"
#include "firewall.hpp"

#include <base/ids.hpp>
#include <base/sync.hpp>
#include <network/networks.hpp>
#include <sys/file.hpp>
#include <sys/namespaces.hpp>
#include <sys/socket.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>

#include <set>
#include <thread>

namespace corten::network {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

sockaddr_in socket_address(const std::string& ip, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), &out.sin_addr), 1);
    return out;
}

std::string text_of(const sockaddr_in& address) {
    char buffer[INET_ADDRSTRLEN];
    return ::inet_ntop(AF_INET, &address.sin_addr, buffer, sizeof buffer);
}

/// A socket made inside a namespace; it stays there whatever thread uses it.
Fd socket_in(FdView network_namespace, int type) {
    Fd out;
    EXPECT_TRUE(sys::in_network_namespace(network_namespace, [&]() -> Result<void> {
        out.reset(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
        return {};
    }));
    return out;
}

Fd server_in(FdView network_namespace, int type, const std::string& ip, std::uint16_t port) {
    Fd server = socket_in(network_namespace, type);
    const int on = 1;
    ::setsockopt(server.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto address = socket_address(ip, port);
    EXPECT_EQ(::bind(server.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << strerror(errno);
    if (type == SOCK_STREAM) EXPECT_EQ(::listen(server.raw(), 8), 0);
    return server;
}

bool readable(const Fd& fd, int milliseconds) {
    pollfd entry{fd.raw(), POLLIN, 0};
    return ::poll(&entry, 1, milliseconds) == 1;
}

/// Connects from a namespace to ip:port, where `server` should answer. Gives the client's address
/// as the server sees it; "" when nothing arrives.
std::string tcp_reach(FdView from, const std::string& ip, std::uint16_t port, const Fd& server) {
    Fd client = socket_in(from, SOCK_STREAM | SOCK_NONBLOCK);
    const auto address = socket_address(ip, port);
    if (::connect(client.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 &&
        errno != EINPROGRESS)
        return "";
    if (!readable(server, 400)) return "";
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    Fd connection(
        ::accept4(server.raw(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC));
    EXPECT_EQ(::send(connection.raw(), "hello", 5, 0), 5);
    char buffer[8];
    if (!readable(client, 1000)) return "no answer";
    return ::recv(client.raw(), buffer, sizeof buffer, 0) == 5 ? text_of(peer) : "wrong answer";
}

std::string udp_reach(FdView from, const std::string& ip, std::uint16_t port, const Fd& server) {
    Fd client = socket_in(from, SOCK_DGRAM);
    const auto address = socket_address(ip, port);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(client.raw(), generic, sizeof address) != 0) return "";
    if (::send(client.raw(), "ping", 4, 0) != 4 || !readable(server, 400)) return "";
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    char buffer[8];
    (void)::recvfrom(server.raw(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&peer),
                     &length);
    (void)::sendto(server.raw(), "pong", 4, 0, reinterpret_cast<sockaddr*>(&peer), length);
    return readable(client, 1000) ? text_of(peer) : "no answer";
}

class NetworksTest : public testing::Test {
protected:
    void SetUp() override {
        real_host_ = sys::current_network_namespace().value_or({});
        ASSERT_TRUE(sys::unshare_network_namespace());
        outside_ = sys::current_network_namespace().value_or({});
        ASSERT_TRUE(sys::unshare_network_namespace());
        host_ = sys::current_network_namespace().value_or({});
        connect_outside();
        // Other tests of this kernel have their own; here forwarding starts as it does on a host.
        ASSERT_TRUE(sys::write_existing("/proc/sys/net/ipv4/ip_forward", "0"));
    }
    void TearDown() override {
        networks_.reset();
        ASSERT_TRUE(sys::enter_network_namespace(real_host_));
    }

    /// A veth between the two plays the cable; the host is not outside's router.
    void connect_outside() {
        Rtnl host = *Rtnl::open();
        Rtnl outside = *Rtnl::open_in(outside_);
        RtnlBatch batch;
        batch.set_up(1);
        batch.create_veth({"uplink0", 0, "uplink0", outside_, {{2, 0, 0, 0, 0, 9}}, 1500});
        auto made = host.execute(std::move(batch));
        ASSERT_TRUE(made) << made.error().message();
        address(host, "192.0.2.1/24");
        address(outside, "192.0.2.2/24");
        wait_until_operational(host);
        wait_until_operational(outside);
    }
    void wait_until_operational(Rtnl& rtnl) {
        while (!(*rtnl.find("uplink0"))->operational) std::this_thread::sleep_for(1ms);
    }
    void address(Rtnl& rtnl, const char* text) {
        RtnlBatch batch;
        const int index = (*rtnl.find("uplink0"))->index;
        batch.add_address(index, *Subnet::parse(text));
        batch.set_up(index);
        ASSERT_TRUE(rtnl.execute(std::move(batch)));
    }

    Networks& start(Options options = {}) {
        options.bridge = "ctest0";
        options.bip = "172.17.42.1/16";
        auto made = Networks::create(std::move(options), recorded_);
        EXPECT_TRUE(made) << made.error().message();
        networks_ = std::move(*made);
        auto started = networks_->start();
        EXPECT_TRUE(started) << started.error().message();
        return *networks_;
    }
    Sandbox acquire(const std::string& network = "bridge", const std::string& ip = "") {
        auto sandbox = networks_->acquire({random_id(), network, ip, "", "eth0"});
        EXPECT_TRUE(sandbox) << sandbox.error().message();
        return sandbox ? std::move(*sandbox) : Sandbox{};
    }
    std::vector<std::string> links() {
        std::vector<std::string> out;
        Rtnl rtnl = *Rtnl::open();
        for (const auto& link : *rtnl.links()) out.push_back(link.name);
        return out;
    }

    Fd real_host_;
    Fd outside_;
    Fd host_;
    std::vector<Network> recorded_;
    std::unique_ptr<Networks> networks_;
};

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

TEST_F(NetworksTest, PoolHandsOutQuicklyAndAddressesComeBack) {
    Networks& networks = start();
    networks.wait_idle();
    std::vector<Sandbox> boxes;
    std::chrono::nanoseconds total{};
    for (int i = 0; i < 4; ++i) {
        const auto before = std::chrono::steady_clock::now();
        boxes.push_back(acquire());
        total += std::chrono::steady_clock::now() - before;
        EXPECT_TRUE(boxes.back().from_pool);
        EXPECT_EQ(boxes.back().endpoints.at(0).ip, fmt::format("172.17.0.{}", 2 + i));
    }
    fmt::print("hand-out: {} us each\n", total.count() / 4000);
    EXPECT_LT(total / 4, std::chrono::milliseconds(1));
    for (const auto& box : boxes) networks.release(box.endpoints.at(0));
    boxes.clear();
    networks.wait_idle();
    // Prepared ones keep theirs; what was given back is free for who asks.
    EXPECT_EQ(acquire("bridge", "172.17.0.2").endpoints.at(0).ip, "172.17.0.2");
}

TEST_F(NetworksTest, AddressAndMacAreGivenOnRequest) {
    Networks& networks = start();
    networks.wait_idle();
    const Sandbox far = acquire("bridge", "172.17.9.9");
    EXPECT_EQ(far.endpoints.at(0).ip, "172.17.9.9");
    auto pooled =
        networks.acquire({random_id(), "bridge", "172.17.0.3", "02:00:00:00:00:77", "eth0"});
    ASSERT_TRUE(pooled) << pooled.error().message();
    EXPECT_TRUE(pooled->from_pool);
    auto report = networks.explain(pooled->endpoints.at(0));
    ASSERT_TRUE(report);
    EXPECT_EQ(report->interfaces.back().mac, "02:00:00:00:00:77");
    for (const auto* ip : {"172.17.9.9", "10.1.1.1", "172.17.42.1", "172.17.0.0", "nonsense"})
        EXPECT_FALSE(networks.acquire({random_id(), "bridge", ip, "", "eth0"})) << ip;
}

TEST_F(NetworksTest, InsideOfASandbox) {
    start();
    Sandbox box = acquire();
    Sandbox none = acquire("none");
    EXPECT_TRUE(none.endpoints.empty());
    ASSERT_TRUE(sys::in_network_namespace(box.network_namespace, []() -> Result<void> {
        const auto read = [](const std::string& path) {
            return sys::read_file("/proc/sys/net/" + path).value_or("missing");
        };
        EXPECT_EQ(read("ipv6/conf/eth0/disable_ipv6"), "1\n");
        EXPECT_EQ(read("ipv6/conf/eth0/accept_ra"), "0\n");
        EXPECT_EQ(read("ipv6/conf/lo/disable_ipv6"), "0\n");
        EXPECT_EQ(read("ipv4/ip_unprivileged_port_start"), "0\n");
        EXPECT_EQ(read("ipv4/ping_group_range"), "0\t2147483647\n");
        return {};
    }));
    const auto inside = interface_stats(none.network_namespace);
    ASSERT_TRUE(inside);
    EXPECT_TRUE(inside->empty());
    EXPECT_EQ(*sys::read_file("/proc/sys/net/ipv4/conf/ctest0/route_localnet"), "1\n");
    EXPECT_EQ(*sys::read_file("/proc/sys/net/ipv6/conf/ctest0/accept_ra"), "0\n");
    EXPECT_EQ(*sys::read_file("/proc/sys/net/ipv4/ip_forward"), "1\n");
}

TEST_F(NetworksTest, StatsAndExplain) {
    Networks& networks = start();
    Sandbox a = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 8080}};
    ASSERT_TRUE(networks.publish(a.endpoints.at(0), "a", wanted));
    const Fd server = server_in(a.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    ASSERT_EQ(tcp_reach(host_, "127.0.0.1", 8080, server), "172.17.42.1");
    const auto stats = networks.stats(a.endpoints.at(0).container_id);
    ASSERT_TRUE(stats);
    ASSERT_EQ(stats->size(), 1u);
    EXPECT_EQ(stats->front().name, "eth0");
    EXPECT_GT(stats->front().rx_bytes, 0u);
    const auto report = networks.explain(a.endpoints.at(0));
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->bridge.name, "ctest0");
    EXPECT_EQ(report->host_interface.name, a.endpoints.at(0).host_interface);
    EXPECT_EQ(report->host_interface.master, "ctest0");
    EXPECT_THAT(report->routes,
                testing::UnorderedElementsAre("default via 172.17.42.1 dev eth0",
                                              "172.17.0.0/16 dev eth0 src 172.17.0.2"));
    EXPECT_THAT(report->rules, testing::Contains(HasSubstr("tcp . 8080 : 172.17.0.2 . 80")));
    EXPECT_THAT(report->rules, testing::Contains(HasSubstr("masquerade")));
}

TEST_F(NetworksTest, NextDaemonAdopts) {
    Networks& networks = start();
    Sandbox a = acquire();
    const std::vector<PortRequest> wanted{{"tcp", 80, "", 8080}};
    ASSERT_TRUE(networks.publish(a.endpoints.at(0), "a", wanted));
    const Fd server = server_in(a.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    recorded_ = networks.list();
    networks_.reset();
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, server), "192.0.2.2") << "without a daemon";

    Options options;
    options.bridge = "ctest0";
    options.bip = "172.17.42.1/16";
    networks_ = std::move(*Networks::create(options, recorded_));
    auto adopted = networks_->adopt(a.endpoints.at(0), *sys::reopen(a.network_namespace, O_RDONLY));
    ASSERT_TRUE(adopted) << adopted.error().message();
    ASSERT_TRUE(networks_->start());
    EXPECT_EQ(tcp_reach(outside_, "192.0.2.1", 8080, server), "192.0.2.2");
    EXPECT_EQ(networks_->stats(a.endpoints.at(0).container_id)->size(), 1u);
    Sandbox b = acquire();
    EXPECT_EQ(b.endpoints.at(0).ip, "172.17.0.3");
    EXPECT_FALSE(networks_->publish(b.endpoints.at(0), "b", wanted));
    networks_->release(a.endpoints.at(0));
    EXPECT_TRUE(networks_->publish(b.endpoints.at(0), "b", wanted));
}

TEST_F(NetworksTest, NothingIsLeftBehind) {
    Networks& networks = start();
    {
        Sandbox a = acquire();
        Sandbox none = acquire("none");
        networks.release(a.endpoints.at(0));
    }
    networks.wait_idle();
    auto removed = networks.remove();
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_THAT(links(), testing::UnorderedElementsAre("lo", "uplink0"));
    auto socket = sys::NetlinkSocket::open(NETLINK_NETFILTER);
    EXPECT_FALSE(*nft::table_exists(*socket, "corten_ctest0"));
}

TEST_F(NetworksTest, KilledDaemonLeavesNoSandboxes) {
    // Before any thread is started, so that fork() is safe.
    auto [ready, tell] = *sys::pipe();
    const pid_t daemon = ::fork();
    if (daemon == 0) {
        start().wait_idle();
        (void)::write(tell.raw(), "x", 1);
        ::pause();
        ::_exit(0);
    }
    tell.reset();
    char byte = 0;
    EXPECT_EQ(::read(ready.raw(), &byte, 1), 1);
    EXPECT_EQ(links().size(), 3u + 4u) << "lo, uplink0, ctest0 and the pool";
    ASSERT_EQ(::kill(daemon, SIGKILL), 0);
    ASSERT_EQ(::waitpid(daemon, nullptr, 0), daemon);
    for (int i = 0; i < 300 && links().size() > 3; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_THAT(links(), testing::UnorderedElementsAre("lo", "uplink0", "ctest0"));
    start().wait_idle();
    EXPECT_EQ(acquire().endpoints.at(0).ip, "172.17.0.2");
    ASSERT_TRUE(networks_->remove());
}

TEST_F(NetworksTest, ManyAtATime) {
    constexpr int threads = 8;
    constexpr int rounds = 8;
    Networks& networks = start();
    networks.wait_idle();
    Sync<std::set<std::string>> in_use;
    const auto one = [&] {
        Sandbox box = acquire();
        Endpoint& endpoint = box.endpoints.at(0);
        EXPECT_TRUE(in_use.with([&](auto& all) { return all.insert(endpoint.ip).second; }))
            << endpoint.ip << " given twice";
        const std::vector<PortRequest> wanted{{"tcp", 80, "", 0}, {"udp", 80, "", 0}};
        auto published = networks.publish(endpoint, "many", wanted);
        EXPECT_TRUE(published) << published.error().message();
        EXPECT_EQ(networks.stats(endpoint.container_id)->size(), 1u);
        in_use.with([&](auto& all) { all.erase(endpoint.ip); });
        networks.release(endpoint);
    };
    const auto before = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> all;
        all.reserve(threads);
        for (int i = 0; i < threads; ++i)
            all.emplace_back([&] {
                for (int round = 0; round < rounds; ++round) one();
            });
    }
    const auto taken = std::chrono::steady_clock::now() - before;
    fmt::print("{} sandboxes, {} at a time: {} us each\n", threads * rounds, threads,
               taken / std::chrono::microseconds(threads * rounds));
    networks.wait_idle();
    EXPECT_EQ(links().size(), 3u + 4u) << "lo, uplink0, ctest0 and the pool";
}

/// What `run --rm` in a loop does: a start that takes some milliseconds, and the next at once.
TEST_F(NetworksTest, OneAfterTheOther) {
    constexpr int rounds = 40;
    Networks& networks = start();
    networks.wait_idle();
    for (int i = 0; i < rounds; ++i) {
        const Sandbox box = acquire();
        // The pool is full at first; later a start may come before it is filled again.
        EXPECT_TRUE(box.from_pool || i > 0);
        EXPECT_EQ(networks.stats(box.endpoints.at(0).container_id)->size(), 1u);
        networks.release(box.endpoints.at(0));
    }
    networks.wait_idle();
    EXPECT_EQ(links().size(), 3u + 4u) << "lo, uplink0, ctest0 and the pool";
}

TEST_F(NetworksTest, UserDefinedNetworks) {
    Networks& networks = start();
    Network wanted;
    wanted.name = "blue";
    auto blue = networks.create_network(wanted);
    ASSERT_TRUE(blue) << blue.error().message();
    EXPECT_EQ(blue->subnet, "172.18.0.0/16");
    EXPECT_EQ(blue->gateway, "172.18.0.1");
    EXPECT_EQ(blue->bridge, "br-" + blue->id.substr(0, 12));
    wanted.name = "inner";
    wanted.internal = true;
    wanted.subnet = "10.99.0.0/24";
    ASSERT_TRUE(networks.create_network(wanted));
    EXPECT_FALSE(networks.create_network(wanted)) << "the name is taken";

    Sandbox red_box = acquire();
    Sandbox blue_box = acquire("blue");
    Sandbox inner = acquire("inner");
    Sandbox inner_too = acquire("inner");
    const Fd red = server_in(red_box.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    const Fd inside = server_in(inner.network_namespace, SOCK_STREAM, "0.0.0.0", 80);
    const Fd beyond = server_in(outside_, SOCK_STREAM, "0.0.0.0", 82);
    EXPECT_EQ(tcp_reach(blue_box.network_namespace, "192.0.2.2", 82, beyond), "192.0.2.1");
    EXPECT_EQ(tcp_reach(blue_box.network_namespace, red_box.endpoints.at(0).ip, 80, red), "");
    EXPECT_EQ(tcp_reach(inner_too.network_namespace, inner.endpoints.at(0).ip, 80, inside),
              inner_too.endpoints.at(0).ip);
    EXPECT_EQ(tcp_reach(inner_too.network_namespace, "192.0.2.2", 82, beyond), "");

    const std::vector<PortRequest> ports{{"tcp", 80, "", 8080}};
    ASSERT_TRUE(networks.publish(red_box.endpoints.at(0), "red", ports));
    EXPECT_EQ(tcp_reach(blue_box.network_namespace, "192.0.2.1", 8080, red), "172.17.42.1")
        << "another network's published port";

    EndpointRequest request{blue_box.endpoints.at(0).container_id, "bridge", "", "", "eth1"};
    auto second = networks.connect(request, blue_box.network_namespace);
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(tcp_reach(blue_box.network_namespace, red_box.endpoints.at(0).ip, 80, red),
              second->ip);

    EXPECT_FALSE(networks.remove_network("blue")) << "in use";
    networks.release(blue_box.endpoints.at(0));
    auto removed = networks.remove_network("blue");
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_THAT(links(), testing::Not(testing::Contains(blue->bridge)));
    EXPECT_FALSE(networks.remove_network("bridge"));
}

TEST_F(NetworksTest, NetworksMadeAtTheSameTimeAreDifferent) {
    constexpr int threads = 8;
    Networks& networks = start();
    Sync<std::vector<Network>> made;
    {
        std::vector<std::jthread> all;
        all.reserve(threads);
        for (int i = 0; i < threads; ++i)
            all.emplace_back([&, i] {
                // Half of them want the same name.
                Network wanted;
                wanted.name = i % 2 ? fmt::format("own{}", i) : "shared";
                if (auto one = networks.create_network(wanted))
                    made.with([&](auto& list) { list.push_back(*one); });
                else
                    EXPECT_EQ(one.error().kind(), ErrorKind::conflict) << one.error().message();
            });
    }
    std::set<std::string> subnets;
    std::set<std::string> names;
    made.with([&](const auto& list) {
        EXPECT_EQ(list.size(), 1u + threads / 2);
        for (const auto& network : list) subnets.insert(network.subnet), names.insert(network.name);
        EXPECT_EQ(subnets.size(), list.size());
        EXPECT_EQ(names.size(), list.size());
    });
    for (const auto& name : names) EXPECT_TRUE(networks.remove_network(name));
}

TEST_F(NetworksTest, TwoNetworksCannotShareABridge) {
    Networks& networks = start();
    Network wanted;
    wanted.name = "second";
    wanted.options["com.docker.network.bridge.name"] = "ctest0";
    const auto made = networks.create_network(wanted);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().message(), HasSubstr("same bridge name ctest0"));
    EXPECT_EQ((*networks.find("bridge")).gateway, "172.17.42.1");
}

/// A network goes as a whole or is in use: no container ends up on one that is gone.
TEST_F(NetworksTest, RemovalDuringAStart) {
    constexpr int rounds = 20;
    Networks& networks = start();
    Network wanted;
    wanted.name = "blue";
    for (int round = 0; round < rounds; ++round) {
        ASSERT_TRUE(networks.create_network(wanted));
        std::optional<Sandbox> box;
        {
            std::jthread starting([&] {
                auto got = networks.acquire({random_id(), "blue", "", "", "eth0"});
                if (got) box = std::move(*got);
            });
            std::this_thread::sleep_for(std::chrono::microseconds(200 * round));
            networks.remove_network("blue").ignore();
        }
        EXPECT_EQ(box.has_value(), networks.find("blue").has_value());
        if (!box) continue;
        networks.release(box->endpoints.at(0));
        auto removed = networks.remove_network("blue");
        ASSERT_TRUE(removed) << removed.error().message();
    }
}

TEST_F(NetworksTest, AJoinThatFailsKeepsNothing) {
    Networks& networks = start({.pool_size = 0});
    const Fd no_namespace(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const std::string container = random_id();
    EXPECT_FALSE(networks.connect({container, "bridge", "172.17.0.9", "", "eth1"}, no_namespace));
    EXPECT_EQ(acquire("bridge", "172.17.0.9").endpoints.at(0).ip, "172.17.0.9");
    // Where the namespace is one, but the interface's name cannot be.
    Sandbox none = acquire("none");
    EndpointRequest wrong{container, "bridge", "172.17.0.10", "", "a/b"};
    EXPECT_FALSE(networks.connect(wrong, none.network_namespace));
    EXPECT_EQ(acquire("bridge", "172.17.0.10").endpoints.at(0).ip, "172.17.0.10");
    EXPECT_TRUE(networks.stats(container)->empty());
}

}  // namespace
}  // namespace corten::network
