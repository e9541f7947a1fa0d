// In network namespaces of its own: one for the host's side, where servers of the outside listen on
// loopback, and one for the container.
#include "name_server.hpp"

#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/namespaces.hpp>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <atomic>
#include <thread>

namespace corten::network {
namespace {

using namespace std::string_literals;

void raise_loopback() {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
    ifreq request{};
    std::memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ASSERT_EQ(::ioctl(socket.raw(), SIOCSIFFLAGS, &request), 0);
}

sockaddr_in port_53_of(const char* address) {
    sockaddr_in out{.sin_family = AF_INET, .sin_port = htons(53), .sin_addr = {}, .sin_zero = {}};
    ::inet_pton(AF_INET, address, &out.sin_addr);
    return out;
}

std::string question(const std::string& name) {
    return "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"s + static_cast<char>(name.size()) +
           name + "\0\0\x01\0\x01"s;
}

/// Answers datagrams at port 53 of an address with what a function makes of them; "" is silence.
class Outside {
public:
    Outside(const char* address, std::function<std::string(std::string)> answer)
        : socket_(::socket(AF_INET, SOCK_DGRAM, 0)) {
        const auto at = port_53_of(address);
        EXPECT_EQ(::bind(socket_.raw(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
        thread_ = std::thread([this, answer = std::move(answer)] { serve(answer); });
    }
    ~Outside() {
        ended_ = true;
        ::shutdown(socket_.raw(), SHUT_RDWR);
        thread_.join();
    }
    int asked() const { return asked_; }

private:
    void serve(const std::function<std::string(std::string)>& answer) {
        char buffer[512];
        sockaddr_in from{};
        socklen_t size = sizeof from;
        for (;;) {
            const auto got = ::recvfrom(socket_.raw(), buffer, sizeof buffer, 0,
                                        reinterpret_cast<sockaddr*>(&from), &size);
            if (ended_ || got < 0) return;
            ++asked_;
            const auto reply = answer(std::string(buffer, static_cast<std::size_t>(got)));
            if (!reply.empty())
                ::sendto(socket_.raw(), reply.data(), reply.size(), 0,
                         reinterpret_cast<const sockaddr*>(&from), sizeof from);
        }
    }

    Fd socket_;
    std::atomic<int> asked_{0};
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

std::string address_answer(const std::string& message) {
    const auto asked = parse_dns_question(message).value();
    const Ipv4 address[] = {Ipv4::parse("192.0.2.7").value()};
    return dns_addresses(message, asked, address);
}

std::string failure(const std::string& message) {
    return dns_refusal(message, DnsRefusal::server_failure);
}

class NameServerRootTest : public testing::Test {
protected:
    void SetUp() override {
        host_ = sys::current_network_namespace().value_or({});
        ASSERT_TRUE(sys::unshare_network_namespace());
        raise_loopback();
        outside_ = sys::current_network_namespace().value();
        ASSERT_TRUE(sys::unshare_network_namespace());
        raise_loopback();
        inside_ = sys::current_network_namespace().value();
        ASSERT_TRUE(sys::enter_network_namespace(outside_));
    }
    void TearDown() override { ASSERT_TRUE(sys::enter_network_namespace(host_)); }

    NameServer server_{[](const std::string& asker, const DnsQuestion& question) {
        NameAnswer answer{
            .known = question.name == "near" && asker == "one", .addresses = {}, .name = {}};
        if (answer.known) answer.addresses = {Ipv4::parse("10.1.1.1").value()};
        return answer;
    }};

    void serve(std::vector<std::string> servers, bool from_inside = false) {
        const auto served =
            server_.serve("one", sys::duplicate(inside_).value(),
                          {.servers = std::move(servers), .from_inside = from_inside});
        ASSERT_TRUE(served) << served.error().message();
    }

    /// The answer to a program in the container; "" after `patience` seconds.
    std::string ask(const std::string& message, int patience = 20) {
        std::string answer;
        const auto asked = sys::in_network_namespace(inside_, [&]() -> Result<void> {
            const Fd socket(::socket(AF_INET, SOCK_DGRAM, 0));
            const timeval limit{.tv_sec = patience, .tv_usec = 0};
            ::setsockopt(socket.raw(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
            const auto to = port_53_of("127.0.0.11");
            if (::connect(socket.raw(), reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0 ||
                ::send(socket.raw(), message.data(), message.size(), 0) < 0)
                return fail_errno("ask");
            char buffer[4096];
            const auto got = ::recv(socket.raw(), buffer, sizeof buffer, 0);
            if (got > 0) answer.assign(buffer, static_cast<std::size_t>(got));
            return {};
        });
        EXPECT_TRUE(asked);
        return answer;
    }

    Fd host_, outside_, inside_;
};

TEST_F(NameServerRootTest, KnownNamesAndOthers) {
    Outside upstream("127.0.0.53", address_answer);
    serve({"127.0.0.53"});
    EXPECT_THAT(ask(question("near")), testing::EndsWith("\x0a\x01\x01\x01"));
    EXPECT_EQ(upstream.asked(), 0);
    // The loopback of the host's side, which the container has no way to.
    EXPECT_THAT(ask(question("far")), testing::EndsWith("\xc0\x00\x02\x07"s));
    EXPECT_EQ(upstream.asked(), 1);
}

TEST_F(NameServerRootTest, AskedFromInsideThatServerIsNotThere) {
    Outside upstream("127.0.0.53", address_answer);
    serve({"127.0.0.53"}, true);
    EXPECT_EQ(ask(question("far")), failure(question("far")));
    EXPECT_EQ(upstream.asked(), 0);
}

TEST_F(NameServerRootTest, SilentAndFailingServersAreFollowedByTheNext) {
    Outside silent("127.0.0.2", [](const std::string&) { return ""s; });
    Outside failing("127.0.0.3", failure);
    Outside liar("127.0.0.4", [](std::string message) {
        auto answer = address_answer(message);
        answer[0] = static_cast<char>(answer[0] + 1);  // an answer to another question
        return answer;
    });
    Outside good("127.0.0.5", address_answer);
    serve({"127.0.0.9", "127.0.0.3", "127.0.0.2", "127.0.0.4", "127.0.0.5"});
    EXPECT_THAT(ask(question("far")), testing::EndsWith("\xc0\x00\x02\x07"s));
    EXPECT_EQ(silent.asked(), 1);
    EXPECT_EQ(failing.asked(), 1);
    EXPECT_EQ(liar.asked(), 1);
}

TEST_F(NameServerRootTest, NobodyElseIsAskedWhereNobodyIsNamed) {
    serve({});
    EXPECT_EQ(ask(question("far")), failure(question("far")));
}

TEST_F(NameServerRootTest, ALaterServerTakesTheFormersPlace) {
    serve({});
    Outside upstream("127.0.0.53", address_answer);
    serve({"127.0.0.53"});
    EXPECT_THAT(ask(question("far")), testing::EndsWith("\xc0\x00\x02\x07"s));
}

TEST_F(NameServerRootTest, NobodyAnswersAfterTheEnd) {
    serve({});
    ASSERT_NE(ask(question("near")), "");
    server_.stop("one");
    for (int i = 0; i < 100 && !ask(question("near"), 1).empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(ask(question("near"), 1), "");
}

TEST_F(NameServerRootTest, ManyQuestionsAtOnceAreAllAnswered) {
    Outside upstream("127.0.0.53", address_answer);
    serve({"127.0.0.53"});
    std::atomic<int> answered{0};
    std::vector<std::thread> askers;
    for (int i = 0; i < 16; ++i)
        askers.emplace_back([&, i] {
            for (int n = 0; n < 20; ++n)
                if (!ask(question(n % 2 ? "near" : "far" + std::to_string(i))).empty()) ++answered;
        });
    for (auto& asker : askers) asker.join();
    EXPECT_EQ(answered, 320);
}

}  // namespace
}  // namespace corten::network
