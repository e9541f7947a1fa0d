#include "fixture.hpp"

#include <sys/poll.hpp>

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <thread>

namespace corten::http {
namespace {

using namespace std::chrono_literals;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string ask(const RunningServer& server, std::string_view bytes) {
    auto client = server.raw();
    client.send(bytes);
    client.half_close();
    return client.read_to_end();
}

TEST(Server, AnswersAndKeepsTheConnection) {
    RunningServer server(echo);
    auto connection = server.connect();
    for (int i = 0; i < 3; ++i) {
        auto answer = connection->send({.method = "POST", .target = "/a?b=c", .body = "xyz"});
        ASSERT_TRUE(answer.has_value()) << answer.error().message();
        EXPECT_EQ(answer->status, 200);
        EXPECT_EQ(answer->length(), 11U);
        EXPECT_EQ(*answer->read_all(), "POST /a xyz");
        EXPECT_TRUE(answer->headers.contains("Date"));
        EXPECT_TRUE(connection->reusable());
    }
    EXPECT_EQ(server.server->connections(), 1U);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
    RunningServer server(echo);
    auto client = server.raw();
    client.send(
        "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nPOST /2 HTTP/1.1\r\nHost:\r\nContent-Length: 2\r\n\r\nab"
        "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto got = client.read_to_end();
    EXPECT_LT(got.find("GET /1"), got.find("POST /2 ab"));
    EXPECT_LT(got.find("POST /2 ab"), got.find("GET /3"));
    EXPECT_THAT(got, HasSubstr("Connection: close"));
}

TEST(Server, TakesRequestsByteByByte) {
    RunningServer server(echo);
    auto client = server.raw();
    for (const char c : std::string("POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                                    "chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))
        client.send({&c, 1});
    EXPECT_THAT(client.read_until("POST /slow hi"), HasSubstr("POST /slow hi"));
}

TEST(Server, RefusesMalformedHeads) {
    RunningServer server(echo);
    const std::vector<std::string> heads{
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET / HTTP/1.1\nHost: x\n\n",
        std::string("GET /\0 HTTP/1.1\r\n\r\n", 19),
    };
    for (const auto& head : heads)
        EXPECT_THAT(ask(server, head), StartsWith("HTTP/1.1 400 ")) << head;
}

TEST(Server, RefusesHugeHeads) {
    RunningServer server(echo);
    const std::string huge = "GET / HTTP/1.1\r\nX: " + std::string(80 << 10, 'a') + "\r\n\r\n";
    EXPECT_THAT(ask(server, huge), StartsWith("HTTP/1.1 431 "));
}

TEST(Server, RefusesBadChunks) {
    RunningServer server(echo);
    const std::string head = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string body :
         {"zz\r\n", "\r\n", "-1\r\n", "ffffffffffffffff\r\n", "2\r\nabc\r\n0\r\n\r\n",
          "2\nab\r\n0\r\n\r\n", "2\r\nab\r\n", "2\r\na"})
        EXPECT_THAT(ask(server, head + body), StartsWith("HTTP/1.1 400 ")) << body;
}

TEST(Server, TakesOddButValidChunks) {
    RunningServer server(echo);
    const std::string head = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    EXPECT_THAT(ask(server, head + "0002;ext=1\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\n"),
                EndsWith("POST /x abc"));
}

TEST(Server, DropsASlowHead) {
    RunningServer server(echo, {.header_time = 100ms});
    auto client = server.raw();
    client.send("GET / HTTP/1.1\r\n");
    EXPECT_THAT(client.read_to_end(), StartsWith("HTTP/1.1 408 "));
}

TEST(Server, ClosesIdleConnections) {
    RunningServer server(echo, {.idle_time = 50ms});
    auto client = server.raw();
    EXPECT_EQ(client.read_to_end(), "");
}

TEST(Server, SpeaksHttp10) {
    RunningServer server([](Request&, ResponseWriter& answer) {
        answer.start(200).ignore();
        answer.write("body").ignore();
    });
    auto client = server.raw();
    client.send("GET / HTTP/1.0\r\n\r\n");
    const auto got = client.read_to_end();
    EXPECT_THAT(got, HasSubstr("Connection: close"));
    EXPECT_THAT(got, Not(HasSubstr("chunked")));
    EXPECT_THAT(got, EndsWith("\r\n\r\nbody"));
}

TEST(Server, SendsNoBodyWhereNoneBelongs) {
    RunningServer server([](Request& request, ResponseWriter& answer) {
        answer.send(request.path == "/204" ? 204 : 200, "body").ignore();
    });
    auto client = server.raw();
    client.send(
        "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /204 HTTP/1.1\r\nHost: x\r\nConnection: "
        "close\r\n\r\n");
    const auto got = client.read_to_end();
    EXPECT_THAT(got, HasSubstr("Content-Length: 4\r\n\r\nHTTP/1.1 204 No Content\r\n"));
    EXPECT_THAT(got, EndsWith("\r\n\r\n"));
}

TEST(Server, AsksForTheBodyOnlyWhenItIsRead) {
    RunningServer server([](Request& request, ResponseWriter& answer) {
        if (request.path == "/read") return echo(request, answer);
        answer.send(403, "no").ignore();
    });
    auto client = server.raw();
    client.send(
        "POST /read HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("ok");
    EXPECT_THAT(client.read_until("POST /read ok"), HasSubstr("200 OK"));
    const auto refused = ask(
        server, "POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    EXPECT_THAT(refused, StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(refused, HasSubstr("Connection: close"));
}

TEST(Server, LetsTheClientReadARefusalOfALargeBody) {
    RunningServer server(
        [](Request&, ResponseWriter& answer) { answer.send(403, "too large").ignore(); });
    auto connection = server.connect();
    std::uint64_t left = 64 << 20;
    auto answer = connection->send(
        {.method = "PUT", .producer = [&](std::span<char> buffer) -> Result<std::size_t> {
             const auto count = std::min<std::uint64_t>(left, buffer.size());
             left -= count;
             return static_cast<std::size_t>(count);
         }});
    ASSERT_TRUE(answer.has_value()) << answer.error().message();
    EXPECT_EQ(answer->status, 403);
    EXPECT_EQ(*answer->read_all(), "too large");
    EXPECT_FALSE(connection->reusable());
}

TEST(Server, TurnsAnExceptionInto500) {
    std::string reported;
    RunningServer server([](Request&, ResponseWriter&) { throw std::runtime_error("oops"); },
                         {.on_error = [&](const Error& error) { reported = error.message(); }});
    auto answer = server.connect()->send({});
    EXPECT_EQ(answer->status, 500);
    EXPECT_EQ(reported, "GET /: oops");
}

TEST(Server, StreamsAtOnceAndSeesTheClientGo) {
    std::promise<void> noticed;
    RunningServer server([&](Request&, ResponseWriter& answer) {
        answer.start(200).ignore();
        EXPECT_FALSE(answer.client_gone());
        const std::array<FdView, 1> waiting{*answer.gone_fd()};
        EXPECT_EQ(sys::wait_readable(waiting, 10s)->value_or(9), 0U);
        noticed.set_value();
    });
    auto client = server.raw();
    // A request sent early is no reason to think that the client has gone.
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\n");
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked"));
    auto future = noticed.get_future();
    EXPECT_EQ(future.wait_for(50ms), std::future_status::timeout);
    client.close();
    EXPECT_EQ(future.wait_for(5s), std::future_status::ready);
    server.server->stop(5s);
}

TEST(Server, DropsAClientThatNeverReads) {
    std::promise<std::string> outcome;
    RunningServer server(
        [&](Request&, ResponseWriter& answer) {
            answer.start(200).ignore();
            const std::string block(1 << 20, 'x');
            for (;;) {
                auto written = answer.write(block);
                if (written.has_value()) continue;
                return outcome.set_value(written.error().message());
            }
        },
        {.write_stall = 200ms});
    auto client = server.raw();
    client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    auto future = outcome.get_future();
    ASSERT_EQ(future.wait_for(10s), std::future_status::ready);
    EXPECT_THAT(future.get(), HasSubstr("timed out"));
    server.server->stop(5s);
}

TEST(Server, AnswersTwoHundredClients) {
    RunningServer server(echo);
    std::atomic<int> answered = 0;
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<Connection>> connections;
    connections.reserve(200);
    threads.reserve(8);
    for (int i = 0; i < 200; ++i) connections.push_back(server.connect());
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = static_cast<std::size_t>(t); i < connections.size(); i += 8) {
                auto answer = connections[i]->send({.target = fmt::format("/{}", i)});
                if (answer.has_value() && *answer->read_all() == fmt::format("GET /{} ", i))
                    ++answered;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(answered, 200);
    EXPECT_EQ(server.server->connections(), 200U);
}

TEST(Server, RefusesConnectionsOverTheCap) {
    RunningServer server(echo, {.most_connections = 1});
    auto first = server.connect();
    EXPECT_EQ(first->send({})->status, 200);
    auto client = server.raw();
    const std::string refusal = client.read_to_end();
    EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503 "));
    const auto body = refusal.substr(refusal.find("\r\n\r\n") + 4);
    EXPECT_THAT(refusal, HasSubstr(fmt::format("Content-Length: {}\r\n", body.size())));
}

TEST(Server, StopNamesWhoHangs) {
    std::promise<void> entered, release;
    auto released = release.get_future().share();
    RunningServer server([&entered, released](Request&, ResponseWriter& answer) {
        entered.set_value();
        released.wait();
        answer.send(200, "").ignore();
    });
    auto client = server.raw();
    client.send("GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n");
    auto idle = server.connect();
    entered.get_future().wait();
    const auto hanging = server.server->stop(50ms);
    ASSERT_EQ(hanging.size(), 1U);
    EXPECT_THAT(hanging[0], StartsWith("GET /stuck of 127.0.0.1:"));
    release.set_value();
    while (server.server->connections() > 0) std::this_thread::sleep_for(1ms);
}

constexpr std::string_view upgraded =
    "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

/// Takes the stream over and sends back what comes, until the client's end of input.
void hijack_and_echo(Request& request, ResponseWriter& answer) {
    ASSERT_TRUE(request.read_whole_body().has_value());
    auto taken = answer.hijack(upgraded);
    ASSERT_TRUE(taken.has_value()) << taken.error().message();
    auto stream = make_socket_stream(std::move(taken->socket));
    ASSERT_TRUE(stream->write(taken->early).has_value());
    std::array<char, 4096> buffer{};
    for (;;) {
        const auto got = stream->read(buffer);
        if (!got.has_value() || *got == 0) break;
        ASSERT_TRUE(stream->write({buffer.data(), *got}).has_value());
    }
    ASSERT_TRUE(stream->write("bye").has_value());
}

TEST(Server, HijackKeepsEarlyBytesAndHalfClose) {
    RunningServer server(hijack_and_echo);
    auto client = server.raw();
    client.send(
        "POST /attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: "
        "tcp\r\nContent-Length: 2\r\n\r\n{}early ");
    EXPECT_EQ(client.read_until("early "), std::string(upgraded) + "early ");
    client.send("late ");
    client.half_close();
    EXPECT_EQ(client.read_to_end(), std::string(upgraded) + "early late bye");
}

TEST(Server, StopLeavesHijackedStreamsAlone) {
    std::promise<Hijacked> taken;
    RunningServer server(
        [&](Request&, ResponseWriter& answer) { taken.set_value(*answer.hijack(upgraded)); });
    auto client = server.raw();
    client.send("POST / HTTP/1.1\r\nHost: x\r\n\r\n");
    auto hijacked = taken.get_future().get();
    EXPECT_TRUE(server.server->stop(2s).empty());
    auto stream = make_socket_stream(std::move(hijacked.socket));
    ASSERT_TRUE(stream->write("still here").has_value());
    EXPECT_THAT(client.read_until("still here"), EndsWith("still here"));
}

TEST(Client, TakesTheStreamAfterAnUpgrade) {
    RunningServer server(hijack_and_echo);
    auto connection = server.connect();
    {
        auto answer = connection->send(
            {.method = "POST", .headers = {{"Connection", "Upgrade"}, {"Upgrade", "tcp"}}});
        ASSERT_TRUE(answer.has_value());
        EXPECT_EQ(answer->status, 101);
    }
    auto taken = connection->take_stream();
    ASSERT_TRUE(taken->stream->write("hi").has_value());
    ASSERT_TRUE(taken->stream->shutdown_write().has_value());
    std::string got = taken->early;
    std::array<char, 64> buffer{};
    while (const auto count = *taken->stream->read(buffer)) got.append(buffer.data(), count);
    EXPECT_EQ(got, "hibye");
}

TEST(Client, ReadsChunkedAnswersAsTheyCome) {
    RunningServer server([](Request&, ResponseWriter& answer) {
        answer.start(200).ignore();
        for (int i = 0; i < 3; ++i) answer.write(fmt::format("part {}\n", i)).ignore();
    });
    auto connection = server.connect();
    auto answer = connection->send({});
    EXPECT_FALSE(answer->length().has_value());
    EXPECT_EQ(*answer->read_all(), "part 0\npart 1\npart 2\n");
    EXPECT_TRUE(connection->reusable());
}

TEST(Client, NoticesACutAnswer) {
    RunningServer server([](Request& request, ResponseWriter& answer) {
        answer
            .start(200,
                   request.path == "/length" ? std::optional<std::uint64_t>(100) : std::nullopt)
            .ignore();
        answer.write("half").ignore();
        answer.abort();
    });
    for (const std::string path : {"/length", "/chunked"}) {
        auto connection = server.connect();
        auto answer = connection->send({.target = path});
        EXPECT_FALSE(answer->read_all().has_value());
        EXPECT_FALSE(connection->reusable());
    }
}

TEST(Client, SendsProducedBodies) {
    RunningServer server(echo);
    for (const bool known : {true, false}) {
        std::vector<std::string> parts{"one", "two"};
        std::size_t next = 0;
        ClientRequest request{.method = "PUT",
                              .producer = [&](std::span<char> buffer) -> Result<std::size_t> {
                                  if (next == parts.size()) return std::size_t(0);
                                  std::copy(parts[next].begin(), parts[next].end(), buffer.begin());
                                  return parts[next++].size();
                              }};
        if (known) request.length = 6;
        auto connection = server.connect();
        EXPECT_EQ(*connection->send(request)->read_all(), "PUT / onetwo");
    }
}

TEST(Client, TimesOut) {
    RunningServer server([](Request&, ResponseWriter& answer) {
        std::this_thread::sleep_for(300ms);
        answer.send(200, "").ignore();
    });
    auto connection = server.connect();
    connection->set_timeouts({.stall = 50ms});
    auto answer = connection->send({});
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().kind(), ErrorKind::unavailable);
}

TEST(Client, MovesLargeBodies) {
    static constexpr std::uint64_t total = 256 << 20;
    RunningServer server([](Request& request, ResponseWriter& answer) {
        std::vector<char> buffer(256 << 10);
        std::uint64_t received = 0;
        while (const auto got = *request.read_body(buffer)) received += got;
        EXPECT_EQ(received, total);
        answer.start(200, total).ignore();
        for (std::uint64_t sent = 0; sent < total; sent += buffer.size())
            answer.write({buffer.data(), buffer.size()}).ignore();
    });
    auto connection = server.connect();
    auto answer = connection->send({.method = "PUT", .body = std::string(total, 'z')});
    ASSERT_TRUE(answer.has_value()) << answer.error().message();
    std::uint64_t received = 0;
    std::vector<char> buffer(256 << 10);
    while (const auto got = *answer->read(buffer)) received += got;
    EXPECT_EQ(received, total);
}

TEST(Client, TakesProgressWhileItSends) {
    RunningServer server([](Request& request, ResponseWriter& answer) {
        std::vector<char> buffer(1000);
        answer.start(200).ignore();
        // More progress than the sockets can hold before the body has been read.
        while (const auto got = *request.read_body(buffer))
            answer.write({buffer.data(), got}).ignore();
    });
    auto connection = server.connect();
    const std::string body(16 << 20, 'p');
    auto answer = connection->send({.method = "POST", .body = body});
    ASSERT_TRUE(answer.has_value()) << answer.error().message();
    EXPECT_EQ(*answer->read_all(), body);
    EXPECT_TRUE(connection->reusable());
}

}  // namespace
}  // namespace corten::http
