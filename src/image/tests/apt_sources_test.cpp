#include "apt_sources.hpp"

#include <gtest/gtest.h>

namespace corten::image {

TEST(AptSources, OneLineStyle) {
    const auto sources = parse_one_line_sources(
        "# deb http://no/ x main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://a/debian bookworm main contrib # note\n"
        "deb-src http://a/debian bookworm main\n"
        "deb\thttp://b/debian  bookworm-updates  main\n"
        "deb [broken http://c x main\n");
    ASSERT_EQ(sources.size(), 2u);
    EXPECT_EQ(sources[0].uri, "http://a/debian");
    EXPECT_EQ(sources[0].signed_by, "/k.gpg");
    EXPECT_EQ(sources[0].components, (std::vector<std::string>{"main", "contrib"}));
    EXPECT_EQ(sources[1].suite, "bookworm-updates");
}

TEST(AptSources, Deb822Style) {
    const auto sources = parse_deb822_sources(
        "Types: deb deb-src\nURIs: http://a/\n# comment\nSuites: x x-updates\nComponents: main\n"
        "Signed-By: /k.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://b/\nSuites: y\n\n"
        "Types: deb\nURIs: http://c/\nSuites: z\nSigned-By:\n -----BEGIN\n key\n");
    ASSERT_EQ(sources.size(), 3u);
    EXPECT_EQ(sources[1].suite, "x-updates");
    EXPECT_EQ(sources[2].uri, "http://c/");
    EXPECT_EQ(sources[2].signed_by, "");
    EXPECT_EQ(parse_deb822_sources(to_deb822(sources)).size(), 3u);
}

}  // namespace corten::image
