#include "session.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

std::string frame(char stream, std::string_view payload) {
    std::string out = {stream,
                       0,
                       0,
                       0,
                       0,
                       0,
                       static_cast<char>(payload.size() >> 8),
                       static_cast<char>(payload.size())};
    return out.append(payload);
}

}  // namespace

TEST(Demultiplexer, PiecesOfAnySizeGiveTheSame) {
    const std::string wire =
        frame(1, "hello") + frame(2, "oops") + frame(1, "") + frame(1, std::string(700, 'x'));
    for (const std::size_t step : {1, 3, 8, 13, 1000}) {
        Demultiplexer demultiplexer;
        std::string out;
        std::string errors;
        for (std::size_t at = 0; at < wire.size(); at += step) {
            const auto piece = std::string_view(wire).substr(at, step);
            ASSERT_TRUE(demultiplexer.take(piece, [&](int stream, std::string_view bytes) {
                (stream == 2 ? errors : out) += bytes;
                return Result<void>();
            }));
        }
        EXPECT_EQ(out, "hello" + std::string(700, 'x'));
        EXPECT_EQ(errors, "oops");
    }
}

TEST(Demultiplexer, TheDaemonsOwnErrorsAndRubbishAreErrors) {
    const auto ignore = [](int, std::string_view) { return Result<void>(); };
    EXPECT_EQ(Demultiplexer().take(frame(3, "broken"), ignore).error().message(),
              "error from daemon in stream: broken");
    EXPECT_EQ(Demultiplexer().take(frame(9, "x"), ignore).error().kind(), ErrorKind::corrupt);
}

TEST(DetachKeys, AreParsed) {
    EXPECT_EQ(parse_detach_keys("ctrl-p,ctrl-q").value(), "\x10\x11");
    EXPECT_EQ(parse_detach_keys("a,ctrl-[,ctrl-@").value(), std::string("a\x1b\0", 3));
    EXPECT_FALSE(parse_detach_keys("ctrl-").has_value());
    EXPECT_FALSE(parse_detach_keys("").has_value());
}

TEST(DetachFilter, HoldsBackWhatMayBeTheSequence) {
    DetachFilter filter("\x10\x11");
    EXPECT_EQ(filter.take("ab\x10").pass_on, "ab");
    EXPECT_EQ(filter.take("c").pass_on,
              "\x10"
              "c");
    EXPECT_EQ(filter.take("\x10\x10").pass_on, "\x10");
    const auto last = filter.take("\x11zzz");
    EXPECT_TRUE(last.detached);
    EXPECT_EQ(last.pass_on, "");
}

}  // namespace corten::cli
