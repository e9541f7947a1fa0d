#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/process.hpp>
#include <sys/socket.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace corten::sys {

TEST(Spawn, GivesOnlyTheNamedDescriptorsAndEnvironment) {
    auto [out, in] = pipe().value();
    auto child = spawn({.program = "/bin/sh",
                        .arguments = {"-c", "echo $MARK; ls /proc/self/fd; exit 7"},
                        .environment = {"MARK=here", "PATH=/bin:/usr/bin"},
                        .fds = {{in, STDOUT_FILENO}},
                        .argv0 = {}})
                     .value();
    in.reset();
    // ls itself holds the directory open as 3.
    EXPECT_EQ(read_all(out).value(), "here\n0\n1\n2\n3\n");
    EXPECT_EQ(child.wait().value().code, 7);
}

TEST(Spawn, SourcesThatAreTargetsAreNotOverwritten) {
    auto [first_out, first_in] = pipe().value();
    auto [second_out, second_in] = pipe().value();
    // Swapped: each source is the other's target.
    auto child = spawn({.program = "/bin/sh",
                        .arguments = {"-c", fmt::format("echo a >&{}; echo b >&{}", first_in.raw(),
                                                        second_in.raw())},
                        .environment = {},
                        .fds = {{first_in, second_in.raw()}, {second_in, first_in.raw()}},
                        .argv0 = {}})
                     .value();
    first_in.reset();
    second_in.reset();
    EXPECT_EQ(child.wait().value().code, 0);
    EXPECT_EQ(read_all(first_out).value(), "b\n");
    EXPECT_EQ(read_all(second_out).value(), "a\n");
}

TEST(Spawn, AMissingProgramIsAnError) {
    const auto child = spawn(
        {.program = "/nonexistent", .arguments = {}, .environment = {}, .fds = {}, .argv0 = {}});
    ASSERT_FALSE(child.has_value());
    EXPECT_EQ(child.error().kind(), ErrorKind::not_found);
}

TEST(Socket, MessagesCarryDescriptors) {
    auto [a, b] = socket_pair(SocketType::seqpacket).value();
    auto [out, in] = pipe().value();
    ASSERT_TRUE(send_message(a, "take this", {in}).has_value());
    in.reset();
    auto message = receive_message(b).value();
    EXPECT_EQ(message.bytes, "take this");
    ASSERT_EQ(message.fds.size(), 1u);
    ASSERT_TRUE(write_all(message.fds[0], "through").has_value());
    message.fds.clear();
    EXPECT_EQ(read_all(out).value(), "through");
    a.reset();
    EXPECT_TRUE(receive_message(b).value().end);
}

TEST(Socket, AListenerInUseIsNotReplaced) {
    const std::string path = fmt::format("/tmp/corten-socket-test.{}", ::getpid());
    const auto first = listen_unix(path, SocketType::stream, 0600);
    ASSERT_TRUE(first.has_value());
    const auto second = listen_unix(path, SocketType::stream, 0600);
    EXPECT_EQ(second.error().kind(), ErrorKind::conflict);
    remove_file(path).ignore();
}

TEST(Poll, WaitsAsLongAsItIsTold) {
    using namespace std::chrono_literals;
    for (const Milliseconds timeout : {Milliseconds(Milliseconds::max()), Milliseconds(1LL << 32),
                                       Milliseconds(24h * 365 * 300)}) {
        const auto event = *Event::create();
        std::jthread setter([&] {
            std::this_thread::sleep_for(50ms);
            event.set();
        });
        const std::array<FdView, 1> fds{event.fd()};
        EXPECT_EQ(*wait_readable(fds, timeout), std::optional<std::size_t>(0)) << timeout.count();
    }
    const auto never = *Event::create();
    const std::array<FdView, 1> fds{never.fd()};
    EXPECT_EQ(*wait_readable(fds, Milliseconds(1)), std::nullopt);
    EXPECT_EQ(*wait_readable(fds, Milliseconds::min()), std::nullopt);
}

TEST(Event, StaysSet) {
    const auto event = Event::create().value();
    EXPECT_FALSE(event.is_set());
    event.set();
    const FdView fds[] = {event.fd()};
    EXPECT_EQ(wait_readable(fds, Milliseconds(0)).value(), std::optional<std::size_t>(0));
    EXPECT_TRUE(event.is_set());
}

}  // namespace corten::sys
