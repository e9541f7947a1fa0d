#include "systemd_annotations.hpp"

#include <gmock/gmock.h>

#include <bit>

namespace corten::runtime_cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

BusValue value(std::string_view text) {
    const auto parsed = parse_bus_value(text);
    EXPECT_TRUE(parsed.has_value()) << text;
    return parsed ? *parsed : BusValue("no value");
}

BusValue number(char type, std::uint64_t bits) {
    return BusScalar{type, bits};
}

TEST(BusValues, AreAsGVariantWritesThem) {
    EXPECT_EQ(value(" true "), BusValue(true));
    EXPECT_EQ(value("234"), number('i', 234));
    EXPECT_EQ(value("-1"), number('i', ~std::uint64_t{0}));
    EXPECT_EQ(value("byte 255"), number('y', 255));
    EXPECT_EQ(value("int16 -2"), number('n', ~std::uint64_t{1}));
    EXPECT_EQ(value("uint64 18446744073709551615"), number('t', ~std::uint64_t{0}));
    EXPECT_EQ(value("1.5"), number('d', std::bit_cast<std::uint64_t>(1.5)));
    EXPECT_EQ(value("double 2"), number('d', std::bit_cast<std::uint64_t>(2.0)));
    EXPECT_EQ(value("'it\\'s'"), BusValue(std::string("it's")));
    EXPECT_EQ(value("\"a b\""), BusValue(std::string("a b")));
    EXPECT_EQ(value("['a', \"b]\"]"), BusValue(std::vector<std::string>{"a", "b]"}));
    EXPECT_EQ(value("[]"), BusValue(std::vector<std::string>{}));
}

TEST(BusValues, WhatIsNoneIsRefused) {
    for (const auto* text : {"",
                             "plain",
                             "'open",
                             "'a'b",
                             "'a\\",
                             "[",
                             "['a'",
                             "['a' 'b']",
                             "['a',",
                             "['a']x",
                             "[1]",
                             "2147483648",
                             "byte 256",
                             "byte -1",
                             "uint64 18446744073709551616",
                             "int16 -32769",
                             "1 2",
                             "0x10",
                             "1.5x",
                             "inf",
                             "double nan",
                             "true false"})
        EXPECT_FALSE(parse_bus_value(text).has_value()) << text;
}

TEST(AnnotatedProperties, SecondsBecomeMicroseconds) {
    const auto properties =
        annotated_properties({{"org.systemd.property.TimeoutStopSec", "1.25"},
                              {"org.systemd.property.CollectMode", "'x'"},
                              {"org.systemd.property.RuntimeMaxSec", "uint16 2"},
                              {"org.systemd.property.FOOSec", "123"},
                              {"org.other", "not ours"}});
    ASSERT_TRUE(properties.has_value());
    EXPECT_THAT(*properties,
                ElementsAre(Pair("CollectMode", BusValue(std::string("x"))),
                            Pair("FOOSec", number('i', 123)),
                            Pair("RuntimeMaxUSec", BusValue(std::uint64_t{2000000})),
                            Pair("TimeoutStopUSec", BusValue(std::uint64_t{1250000}))));
}

TEST(AnnotatedProperties, WrongOnesAreNamed) {
    for (const auto& [name, text] :
         std::vector<std::pair<std::string, std::string>>{{"Xo", "1"},
                                                          {"Number1", "1"},
                                                          {"", "1"},
                                                          {"Slice.x", "'y'"},
                                                          {"Valid", "invalid-value"},
                                                          {"TimeoutStopSec", "'covfefe'"},
                                                          {"TimeoutStopSec", "false"},
                                                          {"TimeoutStopSec", "-1"},
                                                          {"TimeoutStopSec", "1e300"}}) {
        const auto key = "org.systemd.property." + name;
        const auto properties = annotated_properties({{key, text}});
        ASSERT_FALSE(properties.has_value()) << name << " " << text;
        EXPECT_THAT(properties.error().message(), HasSubstr("annotations." + key));
    }
}

/// After the array's length: each property at a multiple of eight, its name, its type, its value.
TEST(BusValues, NumbersAreWrittenAtTheirSize) {
    BusWriter out;
    write_properties(out, {{"A", BusScalar{'y', 0x1ff}}, {"B", BusScalar{'n', 0xfffe}}});
    const auto& bytes = out.bytes();
    ASSERT_EQ(bytes.size(), 36U);
    EXPECT_EQ(bytes.substr(8, 10), std::string("\1\0\0\0A\0\1y\0\xff", 10));
    EXPECT_EQ(bytes.substr(24), std::string("\1\0\0\0B\0\1n\0\0\xfe\xff", 12));
}

}  // namespace
}  // namespace corten::runtime_cli
