// In a network namespace of its own: the host's rules are not touched.
#include "firewall.hpp"

#include <sys/namespaces.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace corten::network {
namespace {

class FirewallRootTest : public testing::Test {
protected:
    void SetUp() override {
        host_ = sys::current_network_namespace().value_or({});
        ASSERT_TRUE(sys::unshare_network_namespace());
    }
    void TearDown() override { ASSERT_TRUE(sys::enter_network_namespace(host_)); }

    std::vector<FilteredNetwork> networks_{{"docker0", *Subnet::parse("172.17.42.1/16")}};
    std::vector<Mapping> mappings_{
        {IPPROTO_TCP, {}, 8080, *Ipv4::parse("172.17.0.2"), 80, "web"},
        {IPPROTO_UDP, *Ipv4::parse("10.0.0.1"), 53, *Ipv4::parse("172.17.0.3"), 53, "dns"}};

private:
    Fd host_;
};

TEST_F(FirewallRootTest, TableIsMadeReplacedAndRemoved) {
    auto firewall = Firewall::open(Firewall::table_for("docker0"));
    ASSERT_TRUE(firewall) << firewall.error().message();
    const auto ruleset = make_ruleset(networks_, {"eth0", "eth1"}, mappings_);
    for (int round = 0; round < 2; ++round) {
        auto done = firewall->replace(ruleset);
        ASSERT_TRUE(done) << done.error().message();
    }
    if (getenv("SHOW")) ASSERT_EQ(system("nft list ruleset"), 0);
    EXPECT_THAT(*firewall->guarded(), testing::UnorderedElementsAre("eth0", "eth1"));
    ASSERT_TRUE(firewall->remove_table());
    auto socket = sys::NetlinkSocket::open(NETLINK_NETFILTER);
    EXPECT_FALSE(*nft::table_exists(*socket, firewall->table()));
    EXPECT_TRUE(firewall->guarded()->empty());
}

TEST_F(FirewallRootTest, MappingsComeAndGo) {
    auto firewall = Firewall::open("corten_test");
    ASSERT_TRUE(firewall->replace(make_ruleset(networks_, {}, {})));
    auto socket = sys::NetlinkSocket::open(NETLINK_NETFILTER);
    const auto count = [&](const char* set) {
        return nft::elements_of(*socket, "corten_test", set)->size();
    };
    auto added = firewall->add(mappings_);
    ASSERT_TRUE(added) << added.error().message();
    EXPECT_EQ(count("ports"), 1u);
    EXPECT_EQ(count("address_ports"), 1u);
    ASSERT_TRUE(firewall->remove(std::span(mappings_).first(1)));
    EXPECT_EQ(count("ports"), 0u);
    auto removed = firewall->remove(mappings_);  // one of them is gone already
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_EQ(count("address_ports"), 0u);
}

/// A range as large as -p 20000-24999:20000-24999 is more than one message, and more than one
/// datagram of the usual size, can hold.
TEST_F(FirewallRootTest, ThousandsOfPorts) {
    for (std::uint16_t port = 20000; port < 25000; ++port)
        mappings_.push_back({IPPROTO_TCP, {}, port, *Ipv4::parse("172.17.0.2"), port, "range"});
    auto firewall = Firewall::open("corten_test");
    ASSERT_TRUE(firewall->replace(make_ruleset(networks_, {}, {})));
    auto socket = sys::NetlinkSocket::open(NETLINK_NETFILTER);
    const auto count = [&] { return nft::elements_of(*socket, "corten_test", "ports")->size(); };
    auto added = firewall->add(mappings_);
    ASSERT_TRUE(added) << added.error().message();
    EXPECT_EQ(count(), 5001u);
    auto removed = firewall->remove(mappings_);
    ASSERT_TRUE(removed) << removed.error().message();
    EXPECT_EQ(count(), 0u);
    auto replaced = firewall->replace(make_ruleset(networks_, {}, mappings_));
    ASSERT_TRUE(replaced) << replaced.error().message();
    EXPECT_EQ(count(), 5001u);
}

}  // namespace
}  // namespace corten::network
