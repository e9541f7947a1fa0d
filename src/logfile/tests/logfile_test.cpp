#include <sys/file.hpp>
#include <sys/poll.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <logfile/codec.hpp>
#include <logfile/reader.hpp>
#include <logfile/writer.hpp>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace corten::logfile {
namespace {

using testing::ElementsAre;

std::string escaped(std::string_view text) {
    std::string out;
    append_escaped(out, text);
    return out;
}

WallTime at(std::int64_t seconds, std::int64_t nanos = 0) {
    return WallTime(std::chrono::seconds(1'700'000'000 + seconds) +
                    std::chrono::nanoseconds(nanos));
}

TEST(Codec, EscapesAsDockerDoes) {
    EXPECT_EQ(escaped("a\"\\\n\r\t<>&\x01"), R"(a\"\\\n\r\u0009\u003c\u003e\u0026\u0001)");
    EXPECT_EQ(escaped("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \x7f"),
              "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80 \x7f");
    EXPECT_EQ(escaped("\xe2\x80\xa8\xe2\x80\xa9"), R"(\u2028\u2029)");
    EXPECT_EQ(escaped("\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80\xc0\xaf\xe2\x82"),
              R"(\ufffd\ufffd()"
              R"(\ufffd\ufffd\ufffd)"
              R"(\ufffd\ufffd\ufffd\ufffd)"
              R"(\ufffd\ufffd)"
              R"(\ufffd\ufffd)");
}

TEST(Codec, LongPlainTextWithOneSpecialAnywhere) {
    for (std::size_t place = 0; place < 100; ++place) {
        std::string text(100, 'x');
        text[place] = '\n';
        EXPECT_EQ(escaped(text), std::string(place, 'x') + "\\n" + std::string(99 - place, 'x'));
    }
}

TEST(Codec, LineLooksLikeDockers) {
    std::string line;
    append_line(line, "hi\n", line_end(Stream::err, R"({"tag":"x"})", at(0, 500'000'000)));
    EXPECT_EQ(line, R"({"log":"hi\n","stream":"stderr","attrs":{"tag":"x"},)"
                    R"("time":"2023-11-14T22:13:20.5Z"})"
                    "\n");
}

TEST(Codec, DecodesItsOwnLines) {
    const std::string text = "\"q\" \\ <b>\ttab\r\n \xe2\x80\xa8 \xc3\xa4\x01";
    std::string line;
    append_line(line, text, line_end(Stream::out, R"({"time":"a","b":"}"})", at(7, 123)));
    line.pop_back();
    Decoder decoder;
    Entry entry;
    ASSERT_TRUE(decoder.decode(line, entry));
    EXPECT_EQ(entry.text, text);
    EXPECT_EQ(entry.stream, Stream::out);
    EXPECT_EQ(entry.time, at(7, 123));
    EXPECT_EQ(entry.attrs, R"({"time":"a","b":"}"})");
}

TEST(Codec, DecodesOtherWriters) {
    Decoder decoder;
    Entry entry;
    ASSERT_TRUE(decoder.decode(R"( {"stream":"stderr", "log":"\ud83d\ude00\b\n",)"
                               R"("time":"2023-11-14T23:13:20.25+01:00"})",
                               entry));
    EXPECT_EQ(entry.text, "\xf0\x9f\x98\x80\b\n");
    EXPECT_EQ(entry.time, at(0, 250'000'000));
    EXPECT_EQ(decoder.decode("{\"log\":\"torn", entry).error().kind(), ErrorKind::corrupt);
    EXPECT_FALSE(decoder.decode("", entry));
}

TEST(Codec, CutsBetweenCharacters) {
    const std::string text = "abc\xe2\x82\xac";
    EXPECT_EQ(cut_length(text, 6), 6);
    EXPECT_EQ(cut_length(text, 5), 3);
    EXPECT_EQ(cut_length(text, 4), 3);
    EXPECT_EQ(cut_length(text, 3), 3);
    EXPECT_EQ(cut_length("\x80\x80\x80\x80\x80\x80", 5), 5);
}

class LogTest : public testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/corten-logfile-XXXXXX";
        directory_ = ::mkdtemp(name);
        path_ = directory_ + "/c-json.log";
    }
    void TearDown() override { EXPECT_TRUE(sys::remove_tree(directory_)); }

    Writer writer(std::int64_t max_size = -1, int max_file = 1) {
        return Writer::open({.path = path_, .max_size = max_size, .max_file = max_file}).value();
    }
    static std::vector<std::string> drain(Reader& reader) {
        std::vector<std::string> lines;
        for (;;) {
            const Entry* entry = reader.next().value();
            if (!entry) return lines;
            lines.push_back(entry->text);
        }
    }
    std::vector<std::string> read(ReadOptions options = {}) {
        auto reader = Reader::open(path_, options).value();
        return drain(reader);
    }

    std::string directory_;
    std::string path_;
};

TEST_F(LogTest, JoinsPiecesIntoLines) {
    auto log = writer();
    log.append(Stream::out, "one\ntw", at(0));
    log.append(Stream::err, "error\n", at(1));
    log.append(Stream::out, "o\nrest", at(2));
    EXPECT_THAT(read(), ElementsAre("one\n", "error\n", "two\n"));
    log.finish(Stream::out, at(3));
    EXPECT_THAT(read(), ElementsAre("one\n", "error\n", "two\n", "rest"));
    EXPECT_THAT(read({.out = false}), ElementsAre("error\n"));
    EXPECT_THAT(read({.since = at(1), .until = at(2)}), ElementsAre("error\n", "two\n"));
    EXPECT_EQ(sys::stat(path_)->st_mode & 0777, 0640);
}

TEST_F(LogTest, LongLinesAreSplit) {
    auto log = writer();
    const std::string text(40'000, 'a');
    log.append(Stream::out, text.substr(0, 20'000), at(0));
    log.append(Stream::out, text.substr(20'000) + "\nshort\n", at(1));
    const auto lines = read();
    ASSERT_EQ(lines.size(), 4);
    EXPECT_EQ(lines[0].size(), longest_part);
    EXPECT_EQ(lines[1].size(), longest_part);
    EXPECT_EQ(lines[0] + lines[1] + lines[2], text + "\n");
    EXPECT_EQ(lines[3], "short\n");
}

TEST_F(LogTest, SplitKeepsCharactersWhole) {
    auto log = writer();
    std::string text = "x";
    while (text.size() < 3 * longest_part) text += "\xe2\x82\xac";
    for (std::size_t begin = 0; begin < text.size(); begin += 999)
        log.append(Stream::out, std::string_view(text).substr(begin, 999), at(0));
    log.finish(Stream::out, at(0));
    std::string joined;
    for (const auto& part : read()) joined += part;
    EXPECT_EQ(joined, text);
}

TEST_F(LogTest, TailCountsAcrossFiles) {
    auto log = writer(500, 10);
    std::vector<std::string> all;
    for (int i = 0; i < 40; ++i) {
        all.push_back(fmt::format("line {}\n", i));
        log.append(Stream::out, all.back(), at(i));
    }
    EXPECT_TRUE(sys::exists(path_ + ".4"));
    EXPECT_EQ(read(), all);
    for (const std::size_t tail : {0, 1, 7, 39, 40, 41})
        EXPECT_EQ(
            read({.tail = static_cast<std::int64_t>(tail)}),
            std::vector(all.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(tail, 40)),
                        all.end()));
}

TEST_F(LogTest, RotationKeepsSoManyFiles) {
    auto log = writer(300, 3);
    for (int i = 0; i < 100; ++i) log.append(Stream::out, fmt::format("line {}\n", i), at(i));
    EXPECT_TRUE(sys::exists(path_ + ".2"));
    EXPECT_FALSE(sys::exists(path_ + ".3"));
    EXPECT_EQ(read({.tail = 1}).front(), "line 99\n");
    EXPECT_LT(sys::stat(path_ + ".1")->st_size, 400);
}

TEST_F(LogTest, FollowsThroughRotation) {
    auto reader = Reader::open(path_, {}).value();
    const FdView changes = reader.changes().value();
    EXPECT_THAT(drain(reader), ElementsAre());
    constexpr int count = 20'000;
    std::atomic<bool> done = false;
    std::thread producer([&] {
        auto log = writer(20'000, 200);
        for (int i = 0; i < count; ++i) log.append(Stream::out, fmt::format("line {}\n", i), at(0));
        done = true;
    });
    int seen = 0;
    for (bool last = false;;) {
        for (const auto& line : drain(reader)) ASSERT_EQ(line, fmt::format("line {}\n", seen++));
        if (last) break;
        last = done;
        ASSERT_TRUE(sys::wait_readable({&changes, 1}, sys::Milliseconds(last ? 0 : 10)));
        reader.clear_changes();
    }
    producer.join();
    EXPECT_EQ(seen, count);
}

TEST_F(LogTest, SingleFileIsReplacedNotTruncated) {
    auto log = writer(190, 1);
    log.append(Stream::out, "first\n", at(0));
    auto reader = Reader::open(path_, {}).value();
    EXPECT_THAT(drain(reader), ElementsAre("first\n"));
    log.append(Stream::out, "second\nthird\n", at(0));
    log.append(Stream::out, "fourth\n", at(0));
    EXPECT_THAT(drain(reader), ElementsAre("second\n", "third\n", "fourth\n"));
    EXPECT_THAT(read(), ElementsAre("fourth\n"));
}

TEST_F(LogTest, SurvivesAFullDisk) {
    path_ = "/dev/full";
    auto log = writer();
    log.append(Stream::out, "lost\n", at(0));
    log.append(Stream::out, "lost too\n", at(0));
    EXPECT_EQ(log.lost_bytes(), 14);
    const auto reason = log.take_failure();
    ASSERT_TRUE(reason);
    EXPECT_THAT(*reason, testing::HasSubstr("No space left"));
    EXPECT_FALSE(log.take_failure()) << "told once";
}

TEST_F(LogTest, SkipsTornLines) {
    auto log = writer();
    log.append(Stream::out, "one\n", at(0));
    ASSERT_TRUE(sys::write_all(sys::open(path_, O_WRONLY | O_APPEND).value(), "{\"log\":\"to\n"));
    log.append(Stream::out, "two\n", at(0));
    auto reader = Reader::open(path_, {}).value();
    EXPECT_THAT(drain(reader), ElementsAre("one\n", "two\n"));
    EXPECT_EQ(reader.skipped(), 1);
}

}  // namespace
}  // namespace corten::logfile
