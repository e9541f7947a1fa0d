#include "firewall.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace corten::network {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

const FilteredNetwork docker0{"docker0", *Subnet::parse("172.17.42.1/16")};

TEST(RulesetTest, DefaultBridge) {
    EXPECT_THAT(
        ruleset_text(make_ruleset({docker0}, {}, {})),
        ElementsAre(
            "@bridges \"docker0\"", "@talking \"docker0\" . \"docker0\"",
            "spoof: iifname @bridges ip daddr 127.0.0.0/8 drop",
            "spoof: iifname @bridges ip saddr 127.0.0.0/8 drop",
            "prerouting: fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map "
            "@address_ports",
            "prerouting: fib daddr type local dnat ip to meta l4proto . th dport map @ports",
            "output: fib daddr type local dnat ip to meta l4proto . ip daddr . th dport map "
            "@address_ports",
            "output: fib daddr type local dnat ip to meta l4proto . th dport map @ports",
            "forward: iifname . oifname @talking accept comment \"between containers\"",
            "forward: iifname @internal drop", "forward: oifname @internal drop",
            "forward: oifname @bridges ct state established,related accept",
            "forward: oifname @bridges ct status dnat accept comment \"published ports\"",
            "forward: oifname @bridges drop comment \"nothing else gets in\"",
            "forward: iifname @guarded oifname @guarded drop comment \"did not forward before\"",
            "postrouting: oifname @bridges ip saddr 127.0.0.0/8 masquerade comment \"from "
            "127.0.0.1 to a published port\"",
            "postrouting: oifname \"docker0\" ip saddr 172.17.0.0/16 ct status dnat masquerade "
            "comment \"hairpin\"",
            "postrouting: ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade"));
}

TEST(RulesetTest, OptionsOfANetwork) {
    FilteredNetwork quiet = docker0;
    quiet.inter_container = false;
    quiet.masquerade = false;
    FilteredNetwork inner{"br-inner", *Subnet::parse("10.0.0.1/24")};
    inner.internal = true;
    const auto lines = ruleset_text(make_ruleset({quiet, inner}, {"eth0"}, {}));
    EXPECT_THAT(lines, Contains("@internal \"br-inner\""));
    EXPECT_THAT(lines, Contains("@guarded \"eth0\""));
    EXPECT_THAT(lines, Not(Contains("@talking \"docker0\" . \"docker0\"")));
    EXPECT_THAT(
        lines,
        Not(Contains("postrouting: ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade")));
    EXPECT_THAT(
        lines,
        Not(Contains("postrouting: ip saddr 10.0.0.0/24 oifname != \"br-inner\" masquerade")));
}

TEST(RulesetTest, WhatConcernsAContainer) {
    const std::vector<Mapping> mappings{
        {IPPROTO_TCP, {}, 8080, *Ipv4::parse("172.17.0.2"), 80, "web"},
        {IPPROTO_UDP, *Ipv4::parse("10.0.0.1"), 53, *Ipv4::parse("172.17.0.3"), 5353, "dns"}};
    const auto lines =
        rules_about(make_ruleset({docker0}, {}, mappings), "docker0", *Ipv4::parse("172.17.0.3"));
    EXPECT_THAT(lines,
                Contains("@address_ports udp . 10.0.0.1 . 53 : 172.17.0.3 . 5353 comment \"dns\""));
    EXPECT_THAT(lines, Not(Contains(testing::HasSubstr("8080"))));
    EXPECT_THAT(lines, Not(Contains(testing::HasSubstr("@internal"))));
}

TEST(FirewallTest, TableNames) {
    EXPECT_EQ(Firewall::table_for("docker0"), "corten_docker0");
    EXPECT_EQ(Firewall::table_for("br-0.1"), "corten_br-0.1");
    EXPECT_EQ(Firewall::table_for("odd@name"), "corten_odd_name");
}

}  // namespace
}  // namespace corten::network
