#include <proto/channel.hpp>
#include <proto/detach_keys.hpp>
#include <proto/shim_messages.hpp>
#include <proto/shim_pump.hpp>
#include <sys/file.hpp>
#include <sys/socket.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <future>

namespace corten::proto {
namespace {

std::string feed(DetachMatcher& matcher, std::string_view bytes, bool expected = false) {
    std::string out;
    EXPECT_EQ(matcher.feed(bytes, out), expected);
    return out;
}

TEST(DetachKeys, AreParsed) {
    EXPECT_EQ(*parse_detach_keys("ctrl-p,ctrl-q"), default_detach_keys);
    EXPECT_EQ(*parse_detach_keys("a,ctrl-@,ctrl-],ctrl-_,DEL"), std::string("a\0\x1d\x1f\x7f", 5));
    EXPECT_EQ(*parse_detach_keys(""), "");
    EXPECT_FALSE(parse_detach_keys("ctrl-1"));
    EXPECT_FALSE(parse_detach_keys("ab"));
}

TEST(DetachKeys, SequenceIsFoundAcrossReads) {
    DetachMatcher matcher{std::string(default_detach_keys)};
    EXPECT_EQ(feed(matcher, "ls\n\x10"), "ls\n");
    EXPECT_EQ(feed(matcher, "\x11 rest", true), "");
}

TEST(DetachKeys, HeldBytesAreGivenBack) {
    DetachMatcher matcher{std::string(default_detach_keys)};
    EXPECT_EQ(feed(matcher, "\x10"), "");
    EXPECT_EQ(feed(matcher, "x"), "\x10x");
    EXPECT_EQ(feed(matcher, "\x10\x10"), "\x10");
    EXPECT_EQ(feed(matcher, "\x11", true), "");
}

TEST(DetachKeys, SequenceThatOverlapsItself) {
    DetachMatcher matcher{"aab"};
    EXPECT_EQ(feed(matcher, "aaab", true), "a");
}

TEST(Channel, CarriesDescriptorsByRole) {
    auto [left, right] = sys::socket_pair(sys::SocketType::seqpacket).value();
    auto [read_end, write_end] = sys::pipe().value();
    ASSERT_TRUE(send(left, {.seq = 3, .type = "attach", .body = {{"a", 1}}},
                     {{"client", write_end}, {"other", read_end}}));
    auto received = receive(right);
    ASSERT_TRUE(received) << received.error().message();
    EXPECT_EQ(received->envelope.seq, 3);
    EXPECT_EQ(received->envelope.body["a"], 1);
    EXPECT_TRUE(received->take("client").valid());
    EXPECT_FALSE(received->take("client").valid()) << "taken already";
    EXPECT_FALSE(received->take("nothing").valid());
}

TEST(Channel, LongDocumentTravelsInAMemoryFile) {
    auto [left, right] = sys::socket_pair(sys::SocketType::seqpacket).value();
    auto [read_end, write_end] = sys::pipe().value();
    const std::string spec(3 << 20, 'x');
    ASSERT_TRUE(
        send(left, {.seq = 1, .type = "start", .body = {{"spec", spec}}}, {{"rootfs", read_end}}));
    auto received = receive(right);
    ASSERT_TRUE(received) << received.error().message();
    EXPECT_EQ(received->envelope.body["spec"], spec);
    EXPECT_TRUE(received->take("rootfs").valid());
}

TEST(Channel, RefusesAnotherVersionAndStaysUsable) {
    auto [left, right] = sys::socket_pair(sys::SocketType::seqpacket).value();
    ASSERT_TRUE(send(left, {.v = version + 1, .seq = 1, .type = "state"}));
    ASSERT_TRUE(sys::send_message(left, "no json"));
    ASSERT_TRUE(send(left, {.seq = 2, .type = "state"}));
    EXPECT_EQ(receive(right).error().kind(), ErrorKind::unsupported);
    EXPECT_FALSE(receive(right));
    EXPECT_EQ(receive(right)->envelope.seq, 2);
}

TEST(Channel, ErrorKeepsKindNumberAndStep) {
    const Error sent = Error::from_errno(ENOENT, "mount /etc/hosts");
    const Error got = to_error(to_body(sent, "mounts"));
    EXPECT_EQ(got.kind(), ErrorKind::not_found);
    EXPECT_EQ(got.number(), ENOENT);
    EXPECT_THAT(got.message(), testing::StartsWith("mounts: mount /etc/hosts"));
}

class PumpTest : public testing::Test {
protected:
    void SetUp() override {
        pump = std::move(ShimPump::start()).value();
        auto pair = std::move(sys::socket_pair(sys::SocketType::seqpacket)).value();
        supervisor = std::move(pair.second);
        client = pump->add(std::move(pair.first),
                           {.on_event = [this](const Event& e) { events.set_value(e.type); },
                            .on_closed = [this] { closed.set_value(); }})
                     .value();
    }

    std::unique_ptr<ShimPump> pump;
    Fd supervisor;
    std::shared_ptr<ShimClient> client;
    std::promise<std::string> events;
    std::promise<void> closed;
};

TEST_F(PumpTest, RepliesAreMatchedBySequence) {
    auto ask = [&] { return client->call(StateRequest{}); };
    auto first = std::async(std::launch::async, ask);
    const auto one = receive(supervisor).value().envelope.seq;
    auto second = std::async(std::launch::async, ask);
    const auto two = receive(supervisor).value().envelope.seq;
    ASSERT_TRUE(send(supervisor, {.seq = two, .type = "ok", .body = {{"status", "second"}}}));
    ASSERT_TRUE(send(supervisor, {.seq = 0, .type = "exited"}));
    ASSERT_TRUE(send(supervisor, {.seq = one, .type = "ok", .body = {{"status", "first"}}}));
    EXPECT_EQ(first.get()->status, "first");
    EXPECT_EQ(second.get()->status, "second");
    EXPECT_EQ(events.get_future().get(), "exited");
}

TEST_F(PumpTest, TypedErrorComesBack) {
    auto call = std::async(std::launch::async, [&] { return client->call(ReleaseRequest{}); });
    const auto seq = receive(supervisor).value().envelope.seq;
    const auto body = to_json(to_body(fail(ErrorKind::conflict, "container runs")));
    ASSERT_TRUE(send(supervisor, {.seq = seq, .type = "error", .body = body}));
    const auto result = call.get();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::conflict);
}

TEST_F(PumpTest, EndOfSupervisorFailsWhatWaits) {
    auto call = std::async(std::launch::async, [&] { return client->call(StateRequest{}); });
    ASSERT_TRUE(receive(supervisor));
    supervisor.reset();
    EXPECT_EQ(call.get().error().kind(), ErrorKind::unavailable);
    closed.get_future().get();
    EXPECT_FALSE(client->call(StateRequest{}));
}

TEST_F(PumpTest, RemovalFailsWhatWaits) {
    auto call = std::async(std::launch::async, [&] { return client->call(StateRequest{}); });
    ASSERT_TRUE(receive(supervisor));
    pump->remove(*client);
    ASSERT_EQ(call.wait_for(std::chrono::seconds(10)), std::future_status::ready);
    EXPECT_EQ(call.get().error().kind(), ErrorKind::unavailable);
    EXPECT_EQ(closed.get_future().wait_for(std::chrono::seconds(0)), std::future_status::timeout);
}

TEST_F(PumpTest, SilenceEndsWithATimeout) {
    const auto result = client->call(StateRequest{}, {}, sys::Milliseconds(20));
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message(), testing::HasSubstr("did not answer"));
}

}  // namespace
}  // namespace corten::proto
