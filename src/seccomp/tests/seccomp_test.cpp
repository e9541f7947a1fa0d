#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <seccomp/compile.hpp>
#include <seccomp/profile.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

namespace corten::seccomp {
namespace {

using ::testing::HasSubstr;

const oci::SeccompSyscall* rule_for(const oci::LinuxSeccomp& section, const std::string& name) {
    for (const auto& rule : section.syscalls)
        if (std::ranges::find(rule.names, name) != rule.names.end()) return &rule;
    return nullptr;
}

TEST(Profile, ResolvesTheDefaultForAnOrdinaryContainer) {
    const auto section =
        resolve(default_profile(), {{"CAP_CHOWN", "CAP_SYS_CHROOT"}, "amd64", "6.1.0-13-amd64"});
    ASSERT_TRUE(section.has_value()) << section.error().message();
    EXPECT_EQ(section->default_action, "SCMP_ACT_ERRNO");
    EXPECT_EQ(section->architectures,
              (std::vector<std::string>{"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}));
    EXPECT_NE(rule_for(*section, "chroot"), nullptr);
    EXPECT_NE(rule_for(*section, "ptrace"), nullptr);
    EXPECT_NE(rule_for(*section, "arch_prctl"), nullptr);
    EXPECT_EQ(rule_for(*section, "mount"), nullptr);
    EXPECT_EQ(rule_for(*section, "clone3")->action, "SCMP_ACT_ERRNO");
    EXPECT_EQ(rule_for(*section, "clone3")->errno_ret, 38U);
}

TEST(Profile, CapabilitiesArchitectureAndKernelOpenRules) {
    const auto admin = resolve(default_profile(), {{"CAP_SYS_ADMIN"}, "amd64", "6.1"});
    EXPECT_NE(rule_for(*admin, "mount"), nullptr);
    EXPECT_EQ(rule_for(*admin, "clone3")->action, "SCMP_ACT_ALLOW");
    const auto old = resolve(default_profile(), {{}, "amd64", "4.7.9"});
    EXPECT_EQ(rule_for(*old, "ptrace"), nullptr);
    const auto arm = resolve(default_profile(), {{}, "arm64", "6.1"});
    EXPECT_EQ(rule_for(*arm, "arch_prctl"), nullptr);
    EXPECT_EQ(arm->architectures[0], "SCMP_ARCH_AARCH64");
}

TEST(Profile, SaysWhatIsWrong) {
    EXPECT_THAT(resolve("{", {}).error().message(), HasSubstr("seccomp profile"));
    EXPECT_THAT(resolve(R"({"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
                            "archMap":[{"architecture":"SCMP_ARCH_X86_64"}]})",
                        {})
                    .error()
                    .message(),
                HasSubstr("archMap"));
    EXPECT_THAT(resolve(R"({"syscalls":[{"name":"a","names":["b"]}]})", {}).error().message(),
                HasSubstr("both \"name\" and \"names\""));
}

TEST(Compile, NamesTheFieldAtFault) {
    oci::LinuxSeccomp section{.default_action = "SCMP_ACT_NOPE"};
    EXPECT_THAT(compile(section).error().message(), HasSubstr("linux.seccomp.defaultAction"));
    section.default_action = "SCMP_ACT_ALLOW";
    section.architectures = {"SCMP_ARCH_VAX"};
    EXPECT_THAT(compile(section).error().message(), HasSubstr("linux.seccomp.architectures"));
    section.architectures.clear();
    section.syscalls = {{{"read"}, "SCMP_ACT_ERRNO", {}, {{9, 0, 0, "SCMP_CMP_EQ"}}}};
    EXPECT_THAT(validate(section).error().message(), HasSubstr("linux.seccomp.syscalls[0].args"));
    section.syscalls[0].args = {{0, 0, 0, "SCMP_CMP_NOPE"}};
    EXPECT_THAT(compile(section).error().message(), HasSubstr("SCMP_CMP_NOPE"));
    section.syscalls.clear();
    section.flags = {"SECCOMP_FILTER_FLAG_NOPE"};
    EXPECT_THAT(validate(section).error().message(), HasSubstr("linux.seccomp.flags"));
}

TEST(Compile, UnknownSystemCallsAreLeftOutAndTold) {
    const oci::LinuxSeccomp section{
        .default_action = "SCMP_ACT_ERRNO",
        .syscalls = {{{"read", "no_such_call"}, "SCMP_ACT_ALLOW", {}, {}}}};
    std::vector<std::string> warnings;
    EXPECT_TRUE(compile(section, &warnings).has_value());
    EXPECT_EQ(warnings, std::vector<std::string>{"linux.seccomp.syscalls[0].names[1]: "
                                                 "\"no_such_call\" is not known, ignoring"});
}

TEST(Compile, UnknownSystemCallsAreNotTakenForDenied) {
    for (const auto& [otherwise, action] : {std::pair("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"),
                                            {"SCMP_ACT_LOG", "SCMP_ACT_KILL"},
                                            {"SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"},
                                            {"SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY"}}) {
        const oci::LinuxSeccomp section{.default_action = otherwise,
                                        .syscalls = {{{"mkdri"}, action, {}, {}}}};
        const auto program = compile(section);
        ASSERT_FALSE(program.has_value()) << action;
        EXPECT_THAT(program.error().message(), HasSubstr("names[0]: \"mkdri\""));
        EXPECT_FALSE(validate(section).has_value());
    }
}

TEST(Compile, ConditionsOnNewSystemCallsAreNotPassedOver) {
    oci::LinuxSeccomp section{
        .default_action = "SCMP_ACT_ALLOW",
        .syscalls = {{{"mseal"}, "SCMP_ACT_ERRNO", {}, {{0, 1, 0, "SCMP_CMP_EQ"}}}}};
    EXPECT_THAT(compile(section).error().message(), HasSubstr("conditions"));
    section.default_action = "SCMP_ACT_ERRNO";
    section.syscalls[0].action = "SCMP_ACT_ALLOW";
    std::vector<std::string> warnings;
    EXPECT_TRUE(compile(section, &warnings).has_value());
    EXPECT_EQ(warnings.size(), 1U);
}

TEST(Compile, TheDefaultProfileHasNoUnknownCalls) {
    std::vector<std::string> warnings;
    EXPECT_TRUE(compile(*resolve(default_profile(), {{}, "amd64", ""}), &warnings).has_value());
    EXPECT_EQ(warnings, std::vector<std::string>());
}

/// Loads the filter in a child and gives what `probe` returns there: errno or 0.
int under(const oci::LinuxSeccomp& section, const std::function<int()>& probe) {
    auto program = compile(section);
    EXPECT_TRUE(program.has_value()) << program.error().message();
    const pid_t child = ::fork();
    if (child == 0) {
        sock_fprog filter{static_cast<unsigned short>(program->size() / sizeof(sock_filter)),
                          reinterpret_cast<sock_filter*>(program->data())};
        ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (::syscall(SYS_seccomp, 1, 0, &filter) < 0) ::_exit(255);
        ::_exit(probe());
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int error_of(long number, long a = 0, long b = 0) {
    return ::syscall(number, a, b, 0, 0) < 0 ? errno : 0;
}

TEST(Compile, TheDefaultProfileDoesWhatItSays) {
    const auto section = *resolve(default_profile(), {{"CAP_CHOWN"}, "amd64", ""});
    EXPECT_EQ(under(section, [] { return error_of(SYS_getppid); }), 0);
    EXPECT_EQ(under(section, [] { return error_of(SYS_reboot); }), EPERM);
    EXPECT_EQ(under(section, [] { return error_of(SYS_clone3); }), ENOSYS);
    EXPECT_EQ(under(section, [] { return error_of(SYS_personality, 0); }), 0);
    EXPECT_EQ(under(section, [] { return error_of(SYS_personality, 0x40000); }), EPERM);
    EXPECT_EQ(under(section, [] { return error_of(SYS_socket, 40, 1); }), EPERM);
}

TEST(Compile, NewSystemCallsAreAllowedByNameAndUnknownOnesAreMissing) {
    const auto section = *resolve(default_profile(), {{"CAP_CHOWN"}, "amd64", ""});
    constexpr long mseal = 462;
    constexpr long far_in_the_future = 900;
    EXPECT_NE(under(section, [] { return error_of(mseal, 1, 1); }), EPERM);
    EXPECT_EQ(under(section, [] { return error_of(far_in_the_future); }), ENOSYS);
}

TEST(Compile, AProfileForOneArchitectureLetsNoX32Through) {
    const oci::LinuxSeccomp section{
        .default_action = "SCMP_ACT_ERRNO",
        .architectures = {"SCMP_ARCH_X86_64"},
        .syscalls = {{{"exit_group", "exit", "mseal"}, "SCMP_ACT_ALLOW", {}, {}}}};
    EXPECT_EQ(under(section, [] { return error_of(462 | 0x40000000, 1, 1) == 0 ? 0 : 1; }), -1);
}

TEST(Compile, MakesASealedFile) {
    const auto program = compile({.default_action = "SCMP_ACT_ALLOW"});
    const auto file = to_file(*program);
    ASSERT_TRUE(file.has_value());
    EXPECT_LT(::write(file->raw(), "x", 1), 0);
}

TEST(Compile, NotifyNeedsAListenerFlag) {
    const oci::LinuxSeccomp section{.default_action = "SCMP_ACT_ALLOW",
                                    .syscalls = {{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}}};
    EXPECT_NE(*filter_flags(section) & 8U, 0U);  // SECCOMP_FILTER_FLAG_NEW_LISTENER
    EXPECT_FALSE(filter_flags({.default_action = "SCMP_ACT_NOTIFY"}).has_value());
}

}  // namespace
}  // namespace corten::seccomp
