#include <network/address.hpp>
#include <network/ipam.hpp>

#include <gtest/gtest.h>

namespace corten::network {
namespace {

TEST(Ipv4Test, ParsesAndPrints) {
    EXPECT_EQ(Ipv4::parse("172.17.42.1")->text(), "172.17.42.1");
    for (const auto* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.a", "1.2.3.",
                             " 1.2.3.4", "1.2.3.-4", "::1"})
        EXPECT_FALSE(Ipv4::parse(text)) << text;
}

TEST(SubnetTest, KnowsItsBounds) {
    const Subnet subnet = *Subnet::parse("172.17.42.1/16");
    EXPECT_EQ(subnet.text(), "172.17.42.1/16");
    EXPECT_EQ(subnet.network().text(), "172.17.0.0/16");
    EXPECT_EQ(subnet.last().text(), "172.17.255.255");
    EXPECT_TRUE(subnet.contains(*Ipv4::parse("172.17.0.2")));
    EXPECT_FALSE(subnet.contains(*Ipv4::parse("172.18.0.2")));
    EXPECT_TRUE(subnet.overlaps(*Subnet::parse("172.0.0.0/8")));
    EXPECT_FALSE(subnet.overlaps(*Subnet::parse("172.18.0.0/16")));
    EXPECT_TRUE(Subnet::parse("0.0.0.0/0")->contains(*Ipv4::parse("8.8.8.8")));
    for (const auto* text : {"172.17.0.1", "172.17.0.1/", "172.17.0.1/33", "172.17.0.1/x", "/16"})
        EXPECT_FALSE(Subnet::parse(text)) << text;
}

TEST(MacAddressTest, ParsesPrintsAndFollowsTheAddress) {
    EXPECT_EQ(MacAddress::parse("02:42:AC:11:00:02")->text(), "02:42:ac:11:00:02");
    EXPECT_EQ(MacAddress::parse("02-42-ac-11-00-02")->text(), "02:42:ac:11:00:02");
    EXPECT_EQ(MacAddress::from(*Ipv4::parse("172.17.0.2")).text(), "02:42:ac:11:00:02");
    for (const auto* text : {"", "02:42:ac:11:00", "02:42:ac:11:00:0g", "2:42:ac:11:0:2"})
        EXPECT_FALSE(MacAddress::parse(text)) << text;
}

TEST(IpamTest, GivesTheLowestFreeAddress) {
    Ipam ipam(*Subnet::parse("172.17.0.0/16"), *Ipv4::parse("172.17.42.1"));
    EXPECT_EQ(ipam.allocate()->text(), "172.17.0.2");
    EXPECT_EQ(ipam.allocate()->text(), "172.17.0.3");
    ipam.release(*Ipv4::parse("172.17.0.2"));
    EXPECT_EQ(ipam.allocate()->text(), "172.17.0.2");
    EXPECT_TRUE(ipam.reserve(*Ipv4::parse("172.17.0.4")));
    EXPECT_EQ(ipam.allocate()->text(), "172.17.0.5");
}

TEST(IpamTest, NeverGivesSpecialOrUsedAddresses) {
    Ipam ipam(*Subnet::parse("10.0.0.0/29"), *Ipv4::parse("10.0.0.3"));
    for (const auto* text : {"10.0.0.0", "10.0.0.3", "10.0.0.7"})
        EXPECT_EQ(ipam.reserve(*Ipv4::parse(text)).error().kind(), ErrorKind::conflict) << text;
    EXPECT_EQ(ipam.reserve(*Ipv4::parse("10.0.1.1")).error().kind(), ErrorKind::invalid);
    std::string all;
    for (auto next = ipam.allocate(); next; next = ipam.allocate()) all += next->text() + " ";
    EXPECT_EQ(all, "10.0.0.2 10.0.0.4 10.0.0.5 10.0.0.6 ");
    EXPECT_EQ(ipam.allocate().error().kind(), ErrorKind::no_space);
}

TEST(IpamTest, StaysInItsRange) {
    Ipam ipam(*Subnet::parse("10.0.0.0/16"), *Ipv4::parse("10.0.0.1"),
              *Subnet::parse("10.0.5.0/30"));
    EXPECT_EQ(ipam.allocate()->text(), "10.0.5.0");
    EXPECT_TRUE(ipam.reserve(*Ipv4::parse("10.0.9.9"))) << "asked for by name";
}

}  // namespace
}  // namespace corten::network
