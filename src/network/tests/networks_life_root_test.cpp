// Sandboxes and networks from their making to their end, by one daemon and the next.
#include "networks_fixture.hpp"

#include <sys/wait.h>

#include <fcntl.h>

#include <set>

namespace corten::network {
namespace {

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
