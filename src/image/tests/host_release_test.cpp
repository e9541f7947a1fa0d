#include "host_release.hpp"

#include <gtest/gtest.h>

namespace corten::image {

namespace {

constexpr const char* bookworm =
    "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n"
    "VERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
constexpr const char* noble =
    "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\n"
    "VERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n";
constexpr const char* mint =
    "NAME=\"Linux Mint\"\nVERSION_ID=\"22\"\nVERSION_CODENAME=wilma\nID=linuxmint\n"
    "ID_LIKE=\"ubuntu debian\"\nUBUNTU_CODENAME=noble\n";
constexpr const char* raspbian =
    "PRETTY_NAME=\"Raspbian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\n"
    "VERSION_CODENAME=bookworm\nID=raspbian\nID_LIKE=debian\n";
constexpr const char* fedora = "PRETTY_NAME=\"Fedora Linux 40\"\nID=fedora\nVERSION_ID=40\n";

constexpr const char* noble_sources =
    "# See http://help.ubuntu.com/community/UpgradeNotes\n"
    "Types: deb\nURIs: http://de.archive.ubuntu.com/ubuntu/\n"
    "Suites: noble noble-updates noble-backports\n"
    "Components: main restricted universe multiverse\n"
    "Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n\n"
    "Types: deb\nURIs: http://security.ubuntu.com/ubuntu/\nSuites: noble-security\n"
    "Components: main universe\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n\n"
    "Types: deb\nURIs: https://packages.example/\nSuites: noble\nComponents: stable\n"
    "Signed-By: /etc/apt/keyrings/vendor.gpg\n";
constexpr const char* jammy_list =
    "deb http://archive.ubuntu.com/ubuntu jammy main restricted\n"
    "# deb-src http://archive.ubuntu.com/ubuntu jammy main\n"
    "deb [arch=amd64] http://archive.ubuntu.com/ubuntu jammy-updates main restricted\n"
    "deb http://security.ubuntu.com/ubuntu jammy-security main\n"
    "deb https://user:secret@private.example/ubuntu jammy main\n"
    "deb [signed-by=/usr/share/keyrings/vendor.gpg] https://vendor.example/apt jammy main\n";

std::vector<std::string> suites(const std::vector<AptSource>& sources) {
    std::vector<std::string> found;
    found.reserve(sources.size());
    for (const auto& source : sources) found.push_back(source.suite);
    return found;
}

HostRelease release_of(const char* text) {
    auto release = parse_release(text);
    EXPECT_TRUE(release) << text;
    return std::move(release).value_or(HostRelease());
}

}  // namespace

TEST(HostRelease, DebianAndUbuntuAreThemselves) {
    EXPECT_EQ(release_of(bookworm).distribution, "debian");
    EXPECT_EQ(release_of(bookworm).codename, "bookworm");
    EXPECT_EQ(release_of(bookworm).version, "12");
    EXPECT_EQ(release_of(noble).distribution, "ubuntu");
    EXPECT_EQ(release_of(noble).codename, "noble");
    EXPECT_EQ(release_of(noble).version, "24.04");
}

TEST(HostRelease, WhatStandsOnUbuntuIsThatUbuntu) {
    EXPECT_EQ(release_of(mint).distribution, "ubuntu");
    EXPECT_EQ(release_of(mint).codename, "noble");
    EXPECT_EQ(release_of(mint).version, "") << "Mint's own number";
}

TEST(HostRelease, WhatIsLikeDebianIsItself) {
    EXPECT_EQ(release_of(raspbian).distribution, "raspbian");
    EXPECT_EQ(release_of(raspbian).version, "12");
    EXPECT_EQ(release_of(raspbian).script, "sid");
}

TEST(HostRelease, OthersAreRefusedByName) {
    const auto refused = parse_release(fedora);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().message().find("Fedora Linux 40"), std::string::npos);
    EXPECT_FALSE(parse_release("ID=debian\nPRETTY_NAME=nameless\n"));
}

TEST(HostRelease, SourcesInDeb822Style) {
    const HostRelease release = release_of(noble);
    const auto sources = release_sources(release, parse_deb822_sources(noble_sources));
    ASSERT_TRUE(sources);
    EXPECT_EQ(suites(*sources), (std::vector<std::string>{"noble", "noble-updates",
                                                          "noble-backports", "noble-security"}));
    const AptSource& main = main_source(release, *sources);
    EXPECT_EQ(main.uri, "http://de.archive.ubuntu.com/ubuntu/");
    EXPECT_EQ(main.components,
              (std::vector<std::string>{"main", "restricted", "universe", "multiverse"}));
    EXPECT_EQ(main.signed_by, release.archive_key);
}

TEST(HostRelease, SourcesInOneLineStyle) {
    HostRelease release = release_of(noble);
    release.codename = "jammy";
    const auto sources = release_sources(release, parse_one_line_sources(jammy_list));
    ASSERT_TRUE(sources);
    EXPECT_EQ(suites(*sources),
              (std::vector<std::string>{"jammy", "jammy-updates", "jammy-security"}))
        << "without a vendor's, and without one that has a password";
}

TEST(HostRelease, ADistributionOfItsOwnHasItsOwnKey) {
    const auto listed = parse_one_line_sources(
        "deb [signed-by=/usr/share/keyrings/raspbian-archive-keyring.gpg] "
        "http://raspbian.example/raspbian bookworm main contrib\n"
        "deb [signed-by=/k.gpg] http://vendor.example/ bookworm main\n");
    const HostRelease release = release_of(raspbian);
    const auto sources = release_sources(release, listed);
    ASSERT_TRUE(sources);
    EXPECT_EQ(sources->size(), 1u);
    EXPECT_EQ(main_source(release, *sources).uri, "http://raspbian.example/raspbian");
}

TEST(HostRelease, WithoutASourceItsMirrorIsAsked) {
    const HostRelease release = release_of(noble);
    const auto sources = release_sources(release, {});
    ASSERT_TRUE(sources);
    EXPECT_EQ(main_source(release, *sources).uri, release.mirror);
    const auto unknown = release_sources(release_of(raspbian), {});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().kind(), ErrorKind::unsupported);
}

}  // namespace corten::image
