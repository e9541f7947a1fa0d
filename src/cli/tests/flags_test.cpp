#include "flags.hpp"

#include <gtest/gtest.h>

namespace corten::cli {

namespace {

constexpr Flag table[] = {
    {"detach", 'd', FlagKind::toggle, "Run in the background"},
    {"interactive", 'i', FlagKind::toggle, "Keep stdin open"},
    {"tty", 't', FlagKind::toggle, "Allocate a terminal"},
    {"env", 'e', FlagKind::list, "Set variables"},
    {"name", 0, FlagKind::text, "Name it"},
    {"memory", 'm', FlagKind::size, "Memory limit"},
    {"memory-swap", 0, FlagKind::swap, "Memory and swap"},
    {"sig-proxy", 0, FlagKind::toggle, "Pass signals on", "", "true"},
    {"retries", 0, FlagKind::integer, "How often"},
    {"interval", 0, FlagKind::duration, "How long"},
    {"network", 0, FlagKind::list, "Connect to a network"},
    {"net", 0, FlagKind::list, "", "", "", "network"},
    {"isolation", 0, FlagKind::text, "", "", "", "", "Windows only"},
};

Result<ParsedLine> parse(std::vector<std::string> words,
                         FlagOrder order = FlagOrder::before_arguments) {
    return parse_flags(table, words, order);
}

std::string error_of(std::vector<std::string> words) {
    const auto result = parse(std::move(words));
    return result ? "no error" : result.error().message();
}

}  // namespace

TEST(Flags, GroupsOfLettersAndValues) {
    const auto line = parse({"-itd", "-eA=1", "-e", "B=2", "-e=C", "img", "-e", "x"}).value();
    EXPECT_TRUE(line.flags.on("interactive"));
    EXPECT_TRUE(line.flags.on("tty"));
    EXPECT_TRUE(line.flags.on("detach"));
    EXPECT_EQ(line.flags.list("env"), (std::vector<std::string>{"A=1", "B=2", "C"}));
    EXPECT_EQ(line.arguments, (std::vector<std::string>{"img", "-e", "x"}));
}

TEST(Flags, AGroupMayEndInAValue) {
    const auto line = parse({"-ite", "A=1", "img"}).value();
    EXPECT_EQ(line.flags.list("env"), std::vector<std::string>{"A=1"});
    EXPECT_EQ(parse({"-itm64m"}).value().flags.size("memory"), 64 << 20);
}

TEST(Flags, LongFormsAndDefaults) {
    const auto line =
        parse({"--name", "a", "--memory=1g", "--sig-proxy=false", "--net", "x"}).value();
    EXPECT_EQ(line.flags.text("name"), "a");
    EXPECT_EQ(line.flags.size("memory"), 1 << 30);
    EXPECT_FALSE(line.flags.on("sig-proxy"));
    EXPECT_EQ(line.flags.list("network"), std::vector<std::string>{"x"});
    EXPECT_TRUE(line.flags.given("name"));
    EXPECT_FALSE(line.flags.given("env"));
    EXPECT_TRUE(parse({}).value().flags.on("sig-proxy"));
    EXPECT_EQ(parse({"--memory-swap", "-1"}).value().flags.size("memory-swap"), -1);
    EXPECT_EQ(parse({"--interval=1m30s"}).value().flags.nanoseconds("interval"), 90'000'000'000);
    EXPECT_EQ(parse({"--retries", "0x10"}).value().flags.integer("retries"), 16);
}

TEST(Flags, DashesEndThemAndALoneDashIsAnArgument) {
    const auto line = parse({"a", "-d", "--", "-t", "-"}, FlagOrder::anywhere).value();
    EXPECT_EQ(line.arguments, (std::vector<std::string>{"a", "-t", "-"}));
    EXPECT_TRUE(line.flags.on("detach"));
    EXPECT_EQ(parse({"-", "-d"}).value().arguments, (std::vector<std::string>{"-", "-d"}));
}

TEST(Flags, HelpStopsEverything) {
    EXPECT_TRUE(parse({"-d", "--help", "--nonsense"}).value().help);
    EXPECT_TRUE(parse({"-h"}).value().help);
    EXPECT_FALSE(parse({"img", "--help"}).value().help);
}

TEST(Flags, ErrorsAreWordedAsDockers) {
    EXPECT_EQ(error_of({"--foo"}), "unknown flag: --foo");
    EXPECT_EQ(error_of({"-dx"}), "unknown shorthand flag: 'x' in -dx");
    EXPECT_EQ(error_of({"--name"}), "flag needs an argument: --name");
    EXPECT_EQ(error_of({"-e"}), "flag needs an argument: 'e' in -e");
    EXPECT_EQ(error_of({"---x"}), "bad flag syntax: ---x");
    EXPECT_EQ(error_of({"-m", "x"}),
              "invalid argument \"x\" for \"-m, --memory\" flag: invalid size: 'x'");
    EXPECT_EQ(error_of({"-t=x"}),
              "invalid argument \"x\" for \"-t, --tty\" flag: "
              "strconv.ParseBool: parsing \"x\": invalid syntax");
    EXPECT_EQ(error_of({"--retries", "x"}),
              "invalid argument \"x\" for \"--retries\" flag: "
              "strconv.ParseInt: parsing \"x\": invalid syntax");
    EXPECT_EQ(error_of({"--isolation", "x"}), "--isolation is not supported: Windows only");
}

TEST(Flags, HelpShowsEachVisibleFlagOnce) {
    const std::string help = describe_flags(table);
    EXPECT_NE(help.find("  -e, --env list"), std::string::npos);
    EXPECT_NE(help.find("--sig-proxy"), std::string::npos);
    EXPECT_NE(help.find("Pass signals on (default true)"), std::string::npos);
    EXPECT_EQ(help.find("--net "), std::string::npos);
    EXPECT_EQ(help.find("isolation"), std::string::npos);
}

}  // namespace corten::cli
