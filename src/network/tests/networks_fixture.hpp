#pragma once
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

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>

#include <thread>

namespace corten::network {
using namespace std::chrono_literals;
using testing::HasSubstr;

inline sockaddr_in socket_address(const std::string& ip, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    EXPECT_EQ(::inet_pton(AF_INET, ip.c_str(), &out.sin_addr), 1);
    return out;
}

inline std::string text_of(const sockaddr_in& address) {
    char buffer[INET_ADDRSTRLEN];
    return ::inet_ntop(AF_INET, &address.sin_addr, buffer, sizeof buffer);
}

/// A socket made inside a namespace; it stays there whatever thread uses it.
inline Fd socket_in(FdView network_namespace, int type) {
    Fd out;
    EXPECT_TRUE(sys::in_network_namespace(network_namespace, [&]() -> Result<void> {
        out.reset(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
        return {};
    }));
    return out;
}

inline Fd server_in(FdView network_namespace, int type, const std::string& ip, std::uint16_t port) {
    Fd server = socket_in(network_namespace, type);
    const int on = 1;
    ::setsockopt(server.raw(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto address = socket_address(ip, port);
    EXPECT_EQ(::bind(server.raw(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << strerror(errno);
    if (type == SOCK_STREAM) EXPECT_EQ(::listen(server.raw(), 8), 0);
    return server;
}

inline bool readable(const Fd& fd, int milliseconds) {
    pollfd entry{fd.raw(), POLLIN, 0};
    return ::poll(&entry, 1, milliseconds) == 1;
}

/// Connects from a namespace to ip:port, where `server` should answer. Gives the client's address
/// as the server sees it; "" when nothing arrives.
inline std::string tcp_reach(FdView from, const std::string& ip, std::uint16_t port,
                             const Fd& server) {
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

inline std::string udp_reach(FdView from, const std::string& ip, std::uint16_t port,
                             const Fd& server) {
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

}  // namespace corten::network
