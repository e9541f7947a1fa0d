#include <base/json.hpp>

#include <gtest/gtest.h>

namespace corten {

namespace {

struct Inner {
    int weight = 7;
    static constexpr void fields(auto visit) { visit(field("Weight", &Inner::weight)); }
};

struct Outer {
    std::string name;
    std::optional<std::vector<std::string>> command;
    std::map<std::string, Inner> parts;
    bool extra = false;
    static constexpr void fields(auto visit) {
        visit(field("Name", &Outer::name), field("Cmd", &Outer::command),
              field("Parts", &Outer::parts), omit_empty("Extra", &Outer::extra));
    }
};

/// A switch that is written "on" or "off".
struct Toggle {
    bool on = false;
    Json write_json() const { return on ? "on" : "off"; }
    Result<void> read_json(const Json& json, std::string_view path) {
        if (!json.is_string()) return fail(ErrorKind::invalid, "{}: not a switch", path);
        on = json == "on";
        return {};
    }
};

struct Panel {
    Toggle light;
    std::array<int, 2> size{};
    static constexpr void fields(auto visit) {
        visit(field("Light", &Panel::light), field("Size", &Panel::size));
    }
};

}  // namespace

TEST(JsonFields, TypesWithoutATableReadAndWriteThemselves) {
    const std::string text = R"({"Light":"on","Size":[40,120]})";
    const auto panel = parse_as<Panel>(text, "body").value();
    EXPECT_TRUE(panel.light.on);
    EXPECT_EQ(dump_json(to_json(panel)), text);
    const auto wrong = parse_as<Panel>(R"({"Light":1})", "body");
    EXPECT_EQ(wrong.error().message(), "body: Light: not a switch");
}

TEST(JsonFields, ArraysTakeWhatFits) {
    EXPECT_EQ(parse_as<Panel>(R"({"Size":[1]})", "body").value().size, (std::array{1, 0}));
    EXPECT_EQ(parse_as<Panel>(R"({"Size":[1,2,3]})", "body").value().size, (std::array{1, 2}));
}

TEST(JsonFields, NullAndMissingLeaveTheDefault) {
    const auto outer =
        parse_as<Outer>(R"({"Name":null,"Parts":{"a":null,"b":{}}})", "body").value();
    EXPECT_EQ(outer.name, "");
    EXPECT_FALSE(outer.command.has_value());
    EXPECT_EQ(outer.parts.at("b").weight, 7);
}

TEST(JsonFields, WritesInOrderAndOmitsEmpty) {
    Outer outer{.name = "x", .command = {}, .parts = {}, .extra = false};
    EXPECT_EQ(dump_json(to_json(outer)), R"({"Name":"x","Cmd":null,"Parts":{}})");
}

TEST(JsonFields, AWrongTypeNamesTheMember) {
    const auto result = parse_as<Outer>(R"({"Parts":{"a":{"Weight":"heavy"}}})", "body");
    ASSERT_FALSE(result.has_value());
    EXPECT_NE(result.error().message().find("Parts.a.Weight"), std::string::npos);
}

TEST(JsonFields, NumbersOutOfRangeAreRefused) {
    EXPECT_FALSE(parse_as<Inner>(R"({"Weight":4294967296})", "body").has_value());
    EXPECT_FALSE(parse_as<Inner>(R"({"Weight":1.5})", "body").has_value());
}

TEST(JsonFields, TrailingDataIsAnError) {
    EXPECT_FALSE(parse_json("{} {}", "body").has_value());
    EXPECT_EQ(dump_json(Json("\xff")), "\"\xEF\xBF\xBD\"");
}

}  // namespace corten
