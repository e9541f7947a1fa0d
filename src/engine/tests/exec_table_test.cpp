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

}  // namespace corten::engine
