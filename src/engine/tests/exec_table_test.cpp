#include "exec_table.hpp"

#include <gtest/gtest.h>

namespace corten::engine {

TEST(ExecTable, APrefixNamesOneExecOrNone) {
    ExecTable execs;
    for (const auto* id : {"aa11", "aa22", "bb"}) {
        ExecRecord record;
        record.id = id;
        execs.insert(std::move(record));
    }
    EXPECT_EQ(execs.find("aa1").value().id, "aa11");
    EXPECT_EQ(execs.find("bb").value().id, "bb");
    EXPECT_EQ(execs.find("aa").error().kind(), ErrorKind::invalid);
    EXPECT_EQ(execs.find("c").error().kind(), ErrorKind::not_found);
    EXPECT_EQ(execs.find("").error().kind(), ErrorKind::not_found);
}

namespace {

ExecRecord record_of(std::string id, std::string container, bool started) {
    ExecRecord record;
    record.id = std::move(id);
    record.container_id = std::move(container);
    record.started = record.running = started;
    return record;
}

}  // namespace

TEST(ExecTable, HowExecsEndedIsKnownAfterTheirContainerEnded) {
    ExecTable execs;
    execs.insert(record_of("ended", "box", true));
    execs.insert(record_of("runs", "box", true));
    execs.insert(record_of("waits", "box", false));
    execs.insert(record_of("elsewhere", "other", true));
    execs.end("ended", 3);
    EXPECT_TRUE(execs.any_runs_in("box"));
    execs.end_with("box", 137);
    EXPECT_FALSE(execs.any_runs_in("box"));
    EXPECT_EQ(execs.find("ended").value().exit_code, 3);
    EXPECT_EQ(execs.find("runs").value().exit_code, 137);
    EXPECT_FALSE(execs.find("runs").value().running);
    EXPECT_FALSE(execs.find("waits").has_value());
    EXPECT_TRUE(execs.find("elsewhere").value().running);
    execs.end("runs", 5);  // its own end may be told later
    EXPECT_EQ(execs.find("runs").value().exit_code, 5);
    execs.erase_of("box");
    EXPECT_FALSE(execs.find("ended").has_value());
}

TEST(ExecTable, TheOldestThatEndedIsForgotten) {
    ExecTable execs;
    for (int i = 0; i <= 1024; ++i) {
        execs.insert(record_of(fmt::format("{:04}", i), i > 1015 ? "removed" : "box", true));
        execs.end(fmt::format("{:04}", i), 0);
    }
    EXPECT_FALSE(execs.find("0000").has_value());
    EXPECT_TRUE(execs.find("0001").has_value());
    execs.erase_of("removed");
    for (int i = 0; i < 9; ++i) {
        execs.insert(record_of(fmt::format("later{}", i), "box", true));
        execs.end(fmt::format("later{}", i), 0);
    }
    EXPECT_TRUE(execs.find("0001").has_value());  // those of the removed one count no more
}

}  // namespace corten::engine
