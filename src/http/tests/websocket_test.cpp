// The server's side of a websocket over a pair of sockets, byte by byte.
#include "websocket.hpp"

#include <sys/socket.h>
#include <sys/socket.hpp>

#include <gtest/gtest.h>

namespace corten::http {

namespace {

/// A client's frame, masked.
std::string frame(int first, std::string_view content) {
    const std::string_view mask = "\x01\x82\x03\x44";
    std::string out(1, static_cast<char>(first));
    if (content.size() < 126) {
        out += static_cast<char>(0x80 | content.size());
    } else {
        out += static_cast<char>(0x80 | 126);
        out += static_cast<char>(content.size() >> 8);
        out += static_cast<char>(content.size() & 0xff);
    }
    out += mask;
    for (std::size_t i = 0; i < content.size(); ++i)
        out += static_cast<char>(content[i] ^ mask[i % mask.size()]);
    return out;
}

class WebSocketTest : public testing::Test {
protected:
    void SetUp() override { open(""); }
    void open(std::string early) {
        auto [ours, theirs] = sys::socket_pair(sys::SocketType::stream).value();
        client = std::move(theirs);
        socket = make_websocket(make_socket_stream(std::move(ours)), std::move(early),
                                MessageKind::binary);
    }
    void send(std::string_view bytes) const {
        ASSERT_EQ(::send(client.raw(), bytes.data(), bytes.size(), 0), std::ssize(bytes));
    }
    std::string received() const {
        std::string out(1 << 20, '\0');
        const auto got = ::recv(client.raw(), out.data(), out.size(), MSG_DONTWAIT);
        out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
        return out;
    }
    /// All that can be read now.
    std::string read() const {
        std::string out;
        std::array<char, 7> buffer{};
        for (;;) {
            const auto step = socket->try_read(buffer);
            if (!step.has_value()) return "error: " + step.error().message();
            if (step->kind == Step::end) return out + "<end>";
            if (step->kind != Step::moved) return out;
            out.append(buffer.data(), step->bytes);
        }
    }

    Fd client;
    std::unique_ptr<Stream> socket;
};

}  // namespace

TEST_F(WebSocketTest, ReadsTheContentOfMessages) {
    send(frame(0x82, "hello ") + frame(0x02, "in ") + frame(0x89, "are you there?") +
         frame(0x00, "three ") + frame(0x80, "parts ") + frame(0x81, std::string(300, 'x')));
    EXPECT_EQ(read(), "hello in three parts " + std::string(300, 'x'));
    EXPECT_EQ(received(), std::string("\x8a\x0e") + "are you there?");
}

TEST_F(WebSocketTest, ReadsWhatComesInPieces) {
    const std::string whole = frame(0x82, std::string(200, 'y')) + frame(0x88, "\x03\xe8");
    open(whole.substr(0, 3));
    std::string got = read();
    for (const char byte : whole.substr(3)) {
        send({&byte, 1});
        got += read();
    }
    EXPECT_EQ(got, std::string(200, 'y') + "<end>");
    EXPECT_EQ(received(), "\x88\x02\x03\xe8");
    EXPECT_FALSE(socket->write("after the end").has_value());
}

TEST_F(WebSocketTest, RefusesWhatIsNoClientsFrame) {
    using namespace std::string_literals;
    for (const auto& bad : {"\x82\x01x"s, frame(0xc2, "x"), frame(0x83, "x"), frame(0x80, "x"),
                            frame(0x02, "x") + frame(0x82, "y"), frame(0x09, "x"), frame(0x8b, "x"),
                            frame(0x89, std::string(126, 'x')),
                            "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"s}) {
        open("");
        send(bad);
        EXPECT_NE(read().find("error: websocket: "), std::string::npos) << read();
    }
}

TEST_F(WebSocketTest, WritesMessages) {
    EXPECT_TRUE(socket->write("short").has_value());
    EXPECT_EQ(received(), "\x82\x05short");
    EXPECT_TRUE(socket->write(std::string(126, 'm')).has_value());
    EXPECT_EQ(received(), std::string("\x82\x7e\x00\x7e", 4) + std::string(126, 'm'));
    EXPECT_TRUE(socket->shutdown_write().has_value());
    EXPECT_EQ(received(), "\x88\x02\x03\xe8");
}

TEST_F(WebSocketTest, AMessageIsFinishedBeforeAPingIsAnswered) {
    const std::string content(60'000, 'z');
    const std::string_view part = content;
    int whole = 0;
    Step step{Step::moved};
    while (step.kind == Step::moved) {
        step = socket->try_write({&part, 1}).value();
        if (step.kind == Step::moved) ++whole;
    }
    send(frame(0x89, "p"));
    EXPECT_EQ(read(), "");
    std::string got;
    while (step.kind != Step::moved) {
        got += received();
        step = socket->try_write({&part, 1}).value();
    }
    for (std::string more = received(); !more.empty(); more = received()) got += more;
    const std::string message = std::string("\x82\x7e\xea\x60", 4) + content;
    std::string expected;
    for (int i = 0; i <= whole; ++i) expected += message;
    EXPECT_TRUE(got == expected + "\x8a\x01p");
}

}  // namespace corten::http
