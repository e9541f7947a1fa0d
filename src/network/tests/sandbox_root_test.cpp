// In a network namespace of its own that plays the host.
#include "bridge.hpp"
#include "sandbox.hpp"

#include <sys/namespaces.hpp>

#include <gtest/gtest.h>

namespace corten::network {
namespace {

class SandboxTest : public testing::Test {
protected:
    void SetUp() override {
        host_ = sys::current_network_namespace().value_or({});
        ASSERT_TRUE(sys::unshare_network_namespace());
    }
    void TearDown() override { ASSERT_TRUE(sys::enter_network_namespace(host_)); }

private:
    Fd host_;
};

Plug plug_for(const Bridge& bridge, unsigned last) {
    Plug plug;
    plug.bridge = bridge.index;
    plug.ip = Ipv4{bridge.address.first().value + last};
    plug.prefix = bridge.address.prefix;
    plug.gateway = bridge.address.address;
    plug.mac = MacAddress::from(plug.ip);
    return plug;
}

TEST_F(SandboxTest, IsPluggedInAndAddressed) {
    Rtnl host = *Rtnl::open();
    auto bridge = ensure_bridge(host, "br0", *Subnet::parse("172.17.42.1/16"), 1500);
    ASSERT_TRUE(bridge) << bridge.error().message();
    ASSERT_TRUE(set_bridge_sysctls("br0"));
    for (unsigned i = 2; i < 12; ++i) {
        auto made = make_sandbox(plug_for(*bridge, i), {});
        ASSERT_TRUE(made) << made.error().message();
        EXPECT_EQ(made->inside.routes()->size(), 2u);
        const auto outside = *host.find(made->host_interface);
        ASSERT_TRUE(outside);
        RtnlBatch batch;
        batch.delete_link(outside->index);
        ASSERT_TRUE(host.execute(std::move(batch)));
        EXPECT_FALSE(*host.find(made->host_interface));
    }
}

TEST_F(SandboxTest, ARouteThatTheKernelRefusesIsAnError) {
    Rtnl host = *Rtnl::open();
    const auto bridge = ensure_bridge(host, "br0", *Subnet::parse("172.17.42.1/16"), 1500);
    ASSERT_TRUE(bridge) << bridge.error().message();
    RtnlBatch batch;
    batch.replace_default_route(*Ipv4::parse("192.0.2.1"), bridge->index);  // in no subnet here
    EXPECT_FALSE(host.execute(std::move(batch)));
}

}  // namespace
}  // namespace corten::network
