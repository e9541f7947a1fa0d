#include <base/text.hpp>

#include <gtest/gtest.h>

namespace corten {

TEST(Text, SplitKeepsEmptyParts) {
    EXPECT_EQ(split("a::b", ':'), (std::vector<std::string>{"a", "", "b"}));
    EXPECT_EQ(split("", ':'), (std::vector<std::string>{""}));
}

TEST(Text, Base64GoesBothWaysInBothAlphabets) {
    for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\xfe\xfd"}) {
        EXPECT_EQ(base64_decode(base64_encode(text)).value(), text);
    }
    EXPECT_EQ(base64_decode("e30=").value(), "{}");
    EXPECT_EQ(base64_decode("__79").value(), base64_decode("//79").value());
    EXPECT_FALSE(base64_decode("a").has_value());
    EXPECT_FALSE(base64_decode("a!b=").has_value());
}

TEST(Text, ParseIntegerRefusesWhatIsLeftOver) {
    EXPECT_EQ(parse_integer("-12", "n").value(), -12);
    EXPECT_FALSE(parse_integer("12a", "n").has_value());
    EXPECT_FALSE(parse_integer("", "n").has_value());
    EXPECT_FALSE(parse_integer("99999999999999999999", "n").has_value());
}

}  // namespace corten
