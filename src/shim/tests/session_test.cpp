#include "session.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/ioctl.h>
#include <sys/loop.hpp>
#include <sys/socket.h>
#include <sys/socket.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <logfile/reader.hpp>
#include <poll.h>
#include <pty.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace corten::shim {
namespace {

using std::chrono::milliseconds;

/// What is there now, without waiting.
std::string read_now(FdView fd) {
    std::string out;
    char buffer[4096];
    for (;;) {
        pollfd entry{fd.raw(), POLLIN, 0};
        if (::poll(&entry, 1, 0) != 1) return out;
        const ssize_t got = ::read(fd.raw(), buffer, sizeof buffer);
        if (got <= 0) return out;
        out.append(buffer, static_cast<std::size_t>(got));
    }
}

bool at_end(FdView fd) {
    pollfd entry{fd.raw(), POLLIN, 0};
    char byte = 0;
    return ::poll(&entry, 1, 0) == 1 && ::recv(fd.raw(), &byte, 1, MSG_PEEK) == 0;
}

class SessionTest : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/corten-session-XXXXXX";
        directory_ = ::mkdtemp(name);
        loop_ = std::move(sys::Loop::create()).value();
        log_.emplace(logfile::Writer::open({.path = log_path()}).value());
        session_ = std::make_unique<Session>(
            *loop_, SessionHooks{.on_drained = [this] { ++drained_; },
                                 .on_detached = [this] { ++detached_; },
                                 .on_log_failure = [](const std::string&) {},
                                 .on_client_closed = [this] { ++closed_; }});
    }
    void TearDown() override {
        session_.reset();
        EXPECT_TRUE(sys::remove_tree(directory_));
    }

    std::string log_path() const { return directory_ + "/log"; }

    void start(SessionOptions options) {
        options.log = &*log_;
        session_->configure(options);
        child_ = session_->prepare().value();
        ASSERT_TRUE(session_->begin(Fd()));
    }
    /// A terminal whose process side is child_.out.
    void start_terminal() {
        session_->configure({.terminal = true, .open_stdin = true, .log = &*log_});
        int master = -1;
        int slave = -1;
        ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
        child_.out = Fd(slave);
        ASSERT_TRUE(session_->begin(Fd(master)));
    }
    Fd attach(const proto::AttachOptions& options) {
        auto [ours, theirs] = sys::socket_pair(sys::SocketType::stream).value();
        EXPECT_TRUE(session_->attach(std::move(theirs), options));
        return std::move(ours);
    }
    void turn(milliseconds time = milliseconds(20)) {
        const auto stop = loop_->after(time, [this] { loop_->stop(); });
        ASSERT_TRUE(loop_->run());
    }
    void write(const Fd& fd, std::string_view text) { ASSERT_TRUE(sys::write_all(fd, text)); }
    std::string logged() {
        auto reader = logfile::Reader::open(log_path(), {}).value();
        std::string out;
        while (const auto* entry = reader.next().value()) out += entry->text;
        return out;
    }

    std::string directory_;
    std::unique_ptr<sys::Loop> loop_;
    std::optional<logfile::Writer> log_;
    std::unique_ptr<Session> session_;
    ChildStdio child_;
    int drained_ = 0;
    int detached_ = 0;
    int closed_ = 0;
};

const proto::AttachOptions output_only{.use_stdout = true, .use_stderr = true, .framed = true};
const proto::AttachOptions everything{
    .use_stdin = true, .use_stdout = true, .use_stderr = true, .framed = false};

TEST_F(SessionTest, OutputIsFramedAndLogged) {
    start({});
    const Fd client = attach(output_only);
    write(child_.out, "hello\n");
    write(child_.err, "oops\n");
    turn();
    EXPECT_EQ(read_now(client), std::string("\1\0\0\0\0\0\0\6hello\n\2\0\0\0\0\0\0\5oops\n", 27));
    EXPECT_EQ(logged(), "hello\noops\n");
}

TEST_F(SessionTest, ClientGetsOnlyItsStreams) {
    start({});
    const Fd client = attach({.use_stderr = true});
    write(child_.out, "hello\n");
    write(child_.err, "oops\n");
    turn();
    EXPECT_EQ(read_now(client), "oops\n");
}

TEST_F(SessionTest, InputBeforeTheStartIsKept) {
    auto options = everything;
    options.preread = base64_encode("first ");
    const Fd client = attach(options);
    write(client, "second");
    ASSERT_TRUE(sys::shutdown_write(client));
    turn();
    start({.open_stdin = true, .stdin_once = true});
    turn();
    EXPECT_EQ(read_now(child_.in), "first second");
    pollfd entry{child_.in.raw(), POLLIN, 0};
    ::poll(&entry, 1, 0);
    EXPECT_TRUE(entry.revents & POLLHUP) << "the half-close ends stdin";
    write(child_.out, "still here");
    turn();
    EXPECT_EQ(read_now(client), "still here") << "and is no disconnect";
}

TEST_F(SessionTest, InputOfOneWhoLeftBeforeTheStartIsKept) {
    {
        const Fd client = attach(everything);
        write(client, "all of it");
    }
    turn();
    start({.open_stdin = true});
    turn();
    EXPECT_EQ(read_now(child_.in), "all of it");
}

TEST_F(SessionTest, HalfCloseKeepsStdinOpenUnlessOnce) {
    start({.open_stdin = true});
    const Fd client = attach(everything);
    ASSERT_TRUE(sys::shutdown_write(client));
    turn();
    const Fd other = attach(everything);
    write(other, "more");
    turn();
    EXPECT_EQ(read_now(child_.in), "more");
    session_->close_stdin();
    pollfd entry{child_.in.raw(), POLLIN, 0};
    ::poll(&entry, 1, 0);
    EXPECT_TRUE(entry.revents & POLLHUP);
}

TEST_F(SessionTest, InputWaitsForTheProcess) {
    start({.open_stdin = true});
    const Fd client = attach(everything);
    const std::string text(100'000, 'x');
    write(client, text);
    turn();
    std::string got;
    for (int i = 0; i < 20; ++i, turn(milliseconds(5))) got += read_now(child_.in);
    EXPECT_EQ(got, text);
}

TEST_F(SessionTest, SlowClientStopsTheProcessAndLosesNothing) {
    start({});
    const Fd client = attach({.use_stdout = true});
    ::fcntl(child_.out.raw(), F_SETFL, O_NONBLOCK);
    const std::string chunk(64 << 10, 'x');
    std::size_t written = 0;
    for (int i = 0; i < 100; ++i, turn(milliseconds(2)))
        if (const auto n = ::write(child_.out.raw(), chunk.data(), chunk.size()); n > 0)
            written += static_cast<std::size_t>(n);
    EXPECT_LT(written, client_queue_limit + (1 << 20)) << "held back";
    std::size_t got = 0;
    for (int i = 0; i < 100 && got < written; ++i, turn(milliseconds(2)))
        got += read_now(client).size();
    EXPECT_EQ(got, written);
    EXPECT_GT(::write(child_.out.raw(), chunk.data(), chunk.size()), 0) << "goes on";
}

TEST_F(SessionTest, VanishedClientIsDropped) {
    start({});
    Fd slow = attach({.use_stdout = true});
    ::fcntl(child_.out.raw(), F_SETFL, O_NONBLOCK);
    const std::string chunk(64 << 10, 'x');
    for (int i = 0; i < 50; ++i, turn(milliseconds(2)))
        (void)!::write(child_.out.raw(), chunk.data(), chunk.size());
    slow.reset();
    turn();
    EXPECT_EQ(session_->client_count(), 0);
    EXPECT_EQ(closed_, 1);
    EXPECT_GT(::write(child_.out.raw(), chunk.data(), chunk.size()), 0) << "nobody holds it";
}

TEST_F(SessionTest, ExitDrainsThenEndsTheClients) {
    start({});
    const Fd client = attach({.use_stdout = true});
    write(child_.out, "last words");
    child_ = ChildStdio();
    session_->process_exited();
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(logged(), "last words");
    EXPECT_EQ(read_now(client), "last words");
    EXPECT_TRUE(at_end(client));
    EXPECT_EQ(session_->client_count(), 1) << "lingers until the client has seen the end";
    ASSERT_TRUE(sys::shutdown_write(client));
    turn();
    EXPECT_EQ(session_->client_count(), 0);
}

TEST_F(SessionTest, ChildThatKeepsThePipeIsNotWaitedForLong) {
    start({});
    const Fd client = attach({.use_stdout = true});
    session_->process_exited();
    EXPECT_EQ(drained_, 0);
    write(child_.out, "late");
    turn(milliseconds(500));
    EXPECT_EQ(drained_, 1);
    EXPECT_EQ(read_now(client), "late");
    EXPECT_TRUE(at_end(client));
}

TEST_F(SessionTest, UnreadInputDoesNotResetTheConnection) {
    start({});
    const Fd client = attach({.use_stdin = true, .use_stdout = true});
    write(child_.out, "bye");
    child_ = ChildStdio();
    session_->process_exited();
    write(client, "typed too late");
    turn();
    EXPECT_EQ(read_now(client), "bye");
    EXPECT_TRUE(at_end(client));
}

TEST_F(SessionTest, DetachKeysLeaveTheTerminal) {
    start_terminal();
    auto options = everything;
    options.detach_keys = proto::default_detach_keys;
    const Fd client = attach(options);
    const Fd other = attach(everything);
    write(client, "ls\n\x10\x11");
    turn();
    EXPECT_EQ(detached_, 1);
    EXPECT_EQ(read_now(child_.out), "ls\n");
    EXPECT_THAT(read_now(client), testing::AnyOf("", "ls\r\n"));
    EXPECT_TRUE(at_end(client));
    write(child_.out, "alive\n");
    turn();
    EXPECT_THAT(read_now(other), testing::EndsWith("alive\r\n"));
}

TEST_F(SessionTest, TerminalSizeIsKeptUntilTheStart) {
    ASSERT_TRUE(session_->resize({.height = 40, .width = 120}));
    start_terminal();
    winsize size{};
    ::ioctl(child_.out.raw(), TIOCGWINSZ, &size);
    EXPECT_EQ(size.ws_row, 40);
    EXPECT_EQ(size.ws_col, 120);
}

TEST_F(SessionTest, TerminalSurvivesAMomentWithoutProcess) {
    start_terminal();
    const Fd client = attach(everything);
    const std::string name = ::ttyname(child_.out.raw());
    child_.out.reset();
    turn(milliseconds(150));
    child_.out = sys::open(name, O_RDWR | O_NOCTTY).value();
    write(child_.out, "again");
    turn(milliseconds(150));
    EXPECT_EQ(read_now(client), "again");
}

/// A figure rather than a bar: debug builds and busy machines differ by ten times.
TEST_F(SessionTest, HundredMegabytesToLogAndClient) {
    constexpr std::size_t total = std::size_t{400} * 250'000;
    start({});
    Fd client = attach({.use_stdout = true});
    std::string block;
    while (block.size() < 250'000) block += std::string(9'999, 'x') + '\n';
    const auto begin = std::chrono::steady_clock::now();
    std::atomic<bool> produced = false;
    std::thread producer([&, out = std::move(child_.out)]() mutable {
        for (int i = 0; i < 400; ++i) ASSERT_TRUE(sys::write_all(out, block));
        out.reset();
        produced = true;
    });
    child_ = ChildStdio();
    std::size_t received = 0;
    std::thread consumer([&] {
        std::vector<char> buffer(256 << 10);
        while (const auto got = sys::read_some(client, buffer).value()) received += got;
        client.reset();
    });
    while (!produced) turn();
    session_->process_exited();
    while (session_->client_count() > 0) turn(milliseconds(1));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    producer.join();
    consumer.join();
    EXPECT_EQ(received, total);
    EXPECT_GT(sys::stat(log_path())->st_size, total);
    fmt::print("{:.0f} MB/s into log and client\n", total / 1e6 / took.count());
}

TEST_F(SessionTest, CaptureKeepsTheBeginning) {
    start({.capture = 5});
    write(child_.out, "abc");
    turn();
    write(child_.err, "defgh");
    turn();
    EXPECT_EQ(session_->captured(), "abcde");
}

}  // namespace
}  // namespace corten::shim
