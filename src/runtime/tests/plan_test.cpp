#include "capabilities.hpp"
#include "channel.hpp"
#include "mount_options.hpp"
#include "root.hpp"
#include "security_labels.hpp"

#include <base/ids.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/security_modules.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>

#include <filesystem>

namespace corten::runtime {
namespace {

using ::testing::HasSubstr;

MountOptions parse(std::vector<std::string> options, std::string type = "tmpfs") {
    oci::Mount mount{"/x", std::move(type), "", std::move(options), {}, {}};
    auto result = parse_mount_options(mount, "mounts[0]");
    EXPECT_TRUE(result.has_value());
    return std::move(*result);
}

TEST(MountOptions, TellsAttributesPropagationAndDataApart) {
    const auto options = parse({"ro", "nosuid", "rprivate", "size=64k", "mode=755", "sync"});
    EXPECT_EQ(options.set, std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID});
    EXPECT_EQ(options.propagation, std::uint64_t{MS_PRIVATE});
    EXPECT_TRUE(options.recursive_propagation);
    ASSERT_EQ(options.data.size(), 2U);
    EXPECT_EQ(options.data[0], (std::pair<std::string, std::string>{"size", "64k"}));
    EXPECT_EQ(options.super_flags, std::vector<std::string>{"sync"});
}

TEST(MountOptions, RecursiveFormsApplyToTheTree) {
    const auto options = parse({"rbind", "rro", "rnosuid", "rw"}, "bind");
    EXPECT_TRUE(options.bind);
    EXPECT_TRUE(options.recursive_bind);
    EXPECT_EQ(options.recursive_set, std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID});
    EXPECT_EQ(options.clear, std::uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountOptions, TheLastOfTwoOppositesCounts) {
    EXPECT_EQ(parse({"ro", "rw"}).set, 0U);
    EXPECT_EQ(parse({"rw", "ro"}).set, std::uint64_t{MOUNT_ATTR_RDONLY});
    const auto times = parse({"noatime", "strictatime"});
    EXPECT_EQ(times.set, std::uint64_t{MOUNT_ATTR_STRICTATIME});
}

TEST(MountOptions, RefusesWhatDoesNotFitTheType) {
    EXPECT_FALSE(parse_mount_options({"/x", "tmpfs", "", {"idmap"}, {}, {}}, "m").has_value());
    EXPECT_FALSE(parse_mount_options({"/x", "proc", "", {"tmpcopyup"}, {}, {}}, "m").has_value());
}

TEST(Capabilities, KnowTheirNumbers) {
    EXPECT_EQ(capability_number("CAP_CHOWN"), 0);
    EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), 21);
    EXPECT_EQ(capability_number("CAP_CHECKPOINT_RESTORE"), 40);
    EXPECT_EQ(capability_number("CAP_NOPE"), std::nullopt);
    std::vector<std::string> warnings;
    resolve_capabilities({.bounding = {"CAP_NOPE"}}, warnings);
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("CAP_NOPE"));
}

TEST(Capabilities, AreAmbientOnlyWherePermittedAndInheritable) {
    std::vector<std::string> warnings;
    const auto sets = resolve_capabilities({.bounding = {"CAP_KILL", "CAP_CHOWN"},
                                            .inheritable = {"CAP_KILL"},
                                            .permitted = {"CAP_KILL", "CAP_CHOWN"},
                                            .ambient = {"CAP_KILL", "CAP_CHOWN"}},
                                           warnings);
    EXPECT_EQ(sets.ambient, 1ULL << *capability_number("CAP_KILL"));
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_THAT(warnings[0], HasSubstr("can't raise ambient capability CAP_CHOWN: "));
}

TEST(Channel, ErrorsKeepTheirKindAndNumber) {
    const auto back = unpack(pack(Error::from_errno(ENOENT, "open x")));
    EXPECT_EQ(back.kind(), ErrorKind::not_found);
    EXPECT_EQ(back.number(), ENOENT);
    EXPECT_THAT(back.message(), HasSubstr("open x"));
    EXPECT_EQ(unpack("nonsense").kind(), ErrorKind::internal);
    EXPECT_EQ(unpack("999 x").kind(), ErrorKind::internal);
}

TEST(Channel, Cve_2021_43784_MessageIsTakenWholeOrNotAtAll) {
    const auto [ours, theirs] = std::move(*sys::socket_pair(sys::SocketType::seqpacket));
    const std::string longest((64 << 10) - 1, 'x');
    ASSERT_TRUE(send(ours, Signal::warning, longest).has_value());
    EXPECT_EQ(receive(theirs)->payload, longest);
    ASSERT_TRUE(send(ours, Signal::warning, longest + "x").has_value());
    EXPECT_FALSE(receive(theirs).has_value());
}

TEST(Labels, OfModulesThatTheHostHasNotAreRefusedByField) {
    const bool apparmor = sys::apparmor_enabled(), selinux = sys::selinux_enabled();
    const auto profile = plan_labels({.apparmor_profile = "some"});
    EXPECT_EQ(profile.has_value(), apparmor);
    if (!profile) EXPECT_EQ(profile.error().kind(), ErrorKind::unsupported);
    if (!profile) EXPECT_THAT(profile.error().message(), HasSubstr("process.apparmorProfile"));
    const auto context = plan_labels({.selinux_label = "u:r:t:s0"});
    EXPECT_EQ(context.has_value(), selinux);
    if (!context) EXPECT_THAT(context.error().message(), HasSubstr("process.selinuxLabel"));
    const auto files = check_mount_label("u:r:t:s0");
    EXPECT_EQ(files.has_value(), selinux);
    if (!files) EXPECT_THAT(files.error().message(), HasSubstr("linux.mountLabel"));
}

TEST(Labels, NothingAndUnconfinedAreFineEverywhere) {
    EXPECT_TRUE(plan_labels({})->empty());
    EXPECT_TRUE(check_mount_label("").has_value());
    const auto unconfined = plan_labels({.apparmor_profile = "unconfined"});
    ASSERT_TRUE(unconfined.has_value());
    // Where there is a module the caller's own profile is left, elsewhere nothing is to be done.
    EXPECT_EQ(unconfined->apparmor, sys::apparmor_enabled() ? "unconfined" : "");
}

TEST(Paths, AreCleanedByText) {
    EXPECT_EQ(clean_path("/a/./b/../c//"), "/a/c");
    EXPECT_EQ(clean_path("../../x"), "/x");
    EXPECT_EQ(split_path("/dev//pts/ptmx/").directory, "/dev//pts");
    EXPECT_EQ(split_path("/dev//pts/ptmx/").name, "ptmx");
    EXPECT_EQ(split_path("/x").directory, "/");
}

class InRoot : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(top_ + "/root/etc");
        std::filesystem::create_directories(top_ + "/outside");
        root_ = std::move(*sys::open(top_ + "/root", O_PATH | O_DIRECTORY));
    }
    void TearDown() override { std::filesystem::remove_all(top_); }
    bool outside_is_empty() const { return std::filesystem::is_empty(top_ + "/outside"); }
    std::string top_ = "/tmp/corten-rt-root-" + random_hex(4);
    Fd root_;
};

TEST_F(InRoot, MakesMissingDirectoriesAndFiles) {
    EXPECT_TRUE(open_or_make(root_, "/a/b/c", Target::directory).has_value());
    EXPECT_TRUE(open_or_make(root_, "/a/b/file", Target::file).has_value());
    EXPECT_TRUE(std::filesystem::is_directory(top_ + "/root/a/b/c"));
    EXPECT_TRUE(std::filesystem::is_regular_file(top_ + "/root/a/b/file"));
}

TEST_F(InRoot, LinksDoNotLeadOut) {
    std::filesystem::create_symlink(top_ + "/outside", top_ + "/root/absolute");
    std::filesystem::create_symlink("../../outside", top_ + "/root/relative");
    std::filesystem::create_symlink("../outside/new", top_ + "/root/dangling");
    for (const char* path : {"/absolute/x", "/relative/x", "/dangling/x", "/../outside/x"})
        EXPECT_TRUE(open_or_make(root_, path, Target::directory).has_value()) << path;
    EXPECT_TRUE(outside_is_empty());
    EXPECT_TRUE(std::filesystem::is_directory(top_ + "/root" + top_ + "/outside/x"));
}

TEST_F(InRoot, ALoopOfLinksIsAnError) {
    std::filesystem::create_symlink("b", top_ + "/root/a");
    std::filesystem::create_symlink("a", top_ + "/root/b");
    const auto result = open_or_make(root_, "/a/x", Target::directory);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().number(), ELOOP);
}

TEST_F(InRoot, NothingThereIsNoError) {
    EXPECT_FALSE(open_if_there(root_, "/nosuch/deep")->valid());
    EXPECT_TRUE(open_if_there(root_, "/etc")->valid());
}

}  // namespace
}  // namespace corten::runtime
