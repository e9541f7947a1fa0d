#include "apparmor.hpp"
#include "limits.hpp"
#include "security.hpp"
#include "users.hpp"

#include <oci/capability_names.hpp>
#include <sys/resource.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace corten::engine {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace {

HostFacts facts() {
    HostFacts f;
    f.cpu_count = 2;
    f.online_cpus = "0-1";
    f.online_mems = "0";
    f.capabilities = oci::capability_names();
    std::erase(f.capabilities, "CAP_SYS_RESOURCE");
    return f;
}

std::string refusal(apitypes::HostConfig host) {
    const auto result = check_limits(host, facts());
    return result ? "" : result.error().message();
}

}  // namespace

TEST(Capabilities, AddAndDrop) {
    apitypes::HostConfig host;
    EXPECT_EQ(capabilities_of(host, facts()).value(), default_capabilities());
    host.cap_add.list = {"net_admin"};
    host.cap_drop.list = {"CAP_CHOWN"};
    const auto held = capabilities_of(host, facts()).value();
    EXPECT_THAT(held, Contains("CAP_NET_ADMIN"));
    EXPECT_THAT(held, Not(Contains("CAP_CHOWN")));
    host.cap_drop.list = {"ALL"};
    EXPECT_THAT(capabilities_of(host, facts()).value(), ElementsAre("CAP_NET_ADMIN"));
    host.cap_add.list = {"FLY"};
    EXPECT_EQ(capabilities_of(host, facts()).error().kind(), ErrorKind::invalid);
    host.cap_add.list = {"SYS_RESOURCE"};
    EXPECT_EQ(capabilities_of(host, facts()).error().kind(), ErrorKind::unsupported);
}

TEST(Limits, DefaultsGiveWayToWhatMayBeSetAndWhatWasAskedForDoesNot) {
    rlimit own{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &own), 0);
    const std::map<std::string, Config::Ulimit> defaults = {{"nofile", {.soft = -1, .hard = -1}}};
    HostFacts poor = facts();
    poor.sys_resource = false;
    const auto lowered = with_default_ulimits({}, defaults, poor);
    ASSERT_EQ(lowered.size(), 1U);
    EXPECT_EQ(static_cast<rlim_t>(lowered[0].hard), own.rlim_max);
    EXPECT_EQ(static_cast<rlim_t>(lowered[0].soft), own.rlim_max);
    apitypes::Resources asked;
    asked.ulimits = {{.name = "nofile", .hard = -1, .soft = 10}};
    const auto kept = with_default_ulimits(asked, defaults, poor);
    ASSERT_EQ(kept.size(), 1U);
    EXPECT_EQ(kept[0].hard, -1);
    poor.sys_resource = true;
    EXPECT_EQ(with_default_ulimits({}, defaults, poor)[0].hard, -1);
}

TEST(Limits, TheDefaultScoreIsLeftOutWhereItCannotBeHad) {
    HostFacts f = facts();
    apitypes::HostConfig host;
    EXPECT_EQ(oom_score(host, f), 0);
    f.oom_score_adj = 300;
    EXPECT_EQ(oom_score(host, f), std::nullopt);
    f.sys_resource = true;
    EXPECT_EQ(oom_score(host, f), 0);
    f.sys_resource = false;
    host.oom_score_adj = 5;
    EXPECT_EQ(oom_score(host, f), 5) << "who asks for it gets the kernel's answer";
}

TEST(SecurityOptions, PrivilegedOnesAreFilteredWhenThatIsAskedFor) {
    EXPECT_TRUE(wants_seccomp({}, false));
    EXPECT_FALSE(wants_seccomp({}, true));
    EXPECT_TRUE(wants_seccomp({.seccomp_profile = "{}"}, true));
    EXPECT_FALSE(wants_seccomp({.seccomp_unconfined = true}, false));
}

TEST(SecurityOptions, UnknownOnesAreRefused) {
    apitypes::HostConfig host;
    host.security_opt = {"no-new-privileges", "seccomp=unconfined"};
    EXPECT_TRUE(parse_security_options(host)->no_new_privileges);
    EXPECT_TRUE(parse_security_options(host)->seccomp_unconfined);
    host.security_opt = {"magic=on"};
    EXPECT_EQ(parse_security_options(host).error().kind(), ErrorKind::invalid);
}

TEST(SecurityOptions, ProfileIsTheDefaultWhereTheHostCanLoadIt) {
    HostFacts host = facts();
    EXPECT_EQ(apparmor_profile({}, false, host), "");
    EXPECT_EQ(apparmor_profile({}, true, host), "");
    host.apparmor = true;
    EXPECT_EQ(apparmor_profile({}, false, host), "");
    host.apparmor_parser = "/sbin/apparmor_parser";
    EXPECT_EQ(apparmor_profile({}, false, host), "corten-default");
    EXPECT_EQ(apparmor_profile({}, true, host), "unconfined");
    EXPECT_EQ(apparmor_profile({.apparmor = "own"}, true, host), "own");
    EXPECT_EQ(apparmor_profile({.apparmor = "unconfined"}, false, host), "unconfined");
}

TEST(SecurityOptions, ProfilesNeedAppArmor) {
    HostFacts host = facts();
    apitypes::HostConfig config;
    config.security_opt = {"apparmor=own"};
    const auto own = parse_security_options(config).value();
    const auto refused = check_security_modules(own, host);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_THAT(refused.error().message(), HasSubstr("apparmor=own"));
    for (const char* fine : {"apparmor=unconfined", "apparmor:unconfined", "label=disable"}) {
        config.security_opt = {fine};
        EXPECT_TRUE(check_security_modules(parse_security_options(config).value(), host)) << fine;
    }
    host.apparmor = true;
    EXPECT_TRUE(check_security_modules(own, host));
    config.security_opt = {"label=type:some_t"};
    const auto label = check_security_modules(parse_security_options(config).value(), host);
    ASSERT_FALSE(label.has_value());
    EXPECT_THAT(label.error().message(), HasSubstr("label=type:some_t"));
}

TEST(AppArmor, RulesNameTheProfileAndWhoMaySignalIt) {
    const auto rules = default_profile_rules("/usr/bin/cortend");
    EXPECT_TRUE(rules.starts_with("profile corten-default flags="));
    EXPECT_THAT(rules, HasSubstr("signal (receive) peer=\"/usr/bin/cortend\","));
    EXPECT_THAT(rules, HasSubstr("deny mount,"));
    // What a pipe holds at least: the parser is started after all of them are in it.
    EXPECT_LT(rules.size(), 4096U);
}

TEST(Limits, Contradictions) {
    apitypes::HostConfig host;
    host.memory = 5 << 20;
    EXPECT_EQ(refusal(host), "Minimum memory limit allowed is 6MB");
    host.memory = 64 << 20;
    host.memory_swap = 32 << 20;
    EXPECT_NE(refusal(host), "");
    apitypes::HostConfig cpus;
    cpus.nano_cpus = 3'000'000'000;
    EXPECT_EQ(refusal(cpus),
              "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available");
    apitypes::HostConfig set;
    set.cpuset_cpus = "0-7";
    EXPECT_EQ(refusal(set), "Requested CPUs are not available - requested 0-7, available: 0-1");
    set.cpuset_cpus = "";
    set.cpuset_mems = "0-4000000000";
    EXPECT_NE(refusal(set), "");
}

TEST(Limits, SwapDefaultsToTwiceTheMemory) {
    apitypes::HostConfig host;
    host.memory = 64 << 20;
    host.memory_swappiness = -1;
    ASSERT_TRUE(check_limits(host, facts()).has_value());
    EXPECT_EQ(host.memory_swap, 128 << 20);
    EXPECT_FALSE(host.memory_swappiness.has_value());
    const auto resources = linux_resources(host).value();
    EXPECT_EQ(resources.memory->limit, 64 << 20);
}

TEST(Limits, CpusBecomeQuota) {
    apitypes::HostConfig host;
    host.nano_cpus = 1'500'000'000;
    const auto resources = linux_resources(host).value();
    EXPECT_EQ(resources.cpu->quota, 150'000);
    EXPECT_EQ(resources.cpu->period, 100'000u);
}

TEST(Devices, RulesAndNodes) {
    apitypes::HostConfig host;
    host.devices = std::vector<apitypes::DeviceMapping>{{"/dev/null", "/dev/nothing", "r"}};
    host.device_cgroup_rules = {"c 10:* rw"};
    const auto plan = plan_devices(host).value();
    ASSERT_EQ(plan.nodes.size(), 1u);
    EXPECT_EQ(plan.nodes[0].path, "/dev/nothing");
    EXPECT_EQ(plan.rules.back().access, "rw");
    host.device_cgroup_rules = {"q 1:2 r"};
    EXPECT_FALSE(plan_devices(host).has_value());
    host.device_cgroup_rules.reset();
    host.devices = std::vector<apitypes::DeviceMapping>{{"/dev/nope", "", ""}};
    EXPECT_EQ(plan_devices(host).error().kind(), ErrorKind::invalid);
}

namespace {
constexpr auto passwd =
    "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv/web:/bin/sh\n1000:x:7:7::/odd:/bin/sh\n";
constexpr auto groups = "root:x:0:\nweb:x:34:\nadm:x:4:web,other\nbig:x:99999999999:web\n";
}  // namespace

TEST(Users, NamesNumbersAndGroups) {
    const auto web = resolve_user_in(passwd, groups, "web", {}).value();
    EXPECT_EQ(web.uid, 33u);
    EXPECT_EQ(web.home, "/srv/web");
    EXPECT_THAT(web.additional_gids, ElementsAre(34, 4));
    const auto other = resolve_user_in(passwd, groups, "33:adm", {"0"}).value();
    EXPECT_EQ(other.gid, 4u);
    EXPECT_THAT(other.additional_gids, ElementsAre(4, 0));
    EXPECT_EQ(resolve_user_in(passwd, groups, "", {}).value().uid, 0u);
    EXPECT_EQ(resolve_user_in("", "", "", {}).value().uid, 0u);
    EXPECT_EQ(resolve_user_in(passwd, groups, "nosuch", {}).error().message(),
              "unable to find user nosuch: no matching entries in passwd file");
}

TEST(Users, Cve_2016_3697_ANumberIsAnIdAndNotAName) {
    EXPECT_EQ(resolve_user_in(passwd, groups, "1000", {}).value().uid, 1000u);
}

TEST(Users, Cve_2024_40635_IdsDoNotWrap) {
    EXPECT_FALSE(resolve_user_in(passwd, groups, "4294967296", {}).has_value());
    EXPECT_FALSE(resolve_user_in(passwd, groups, "4294967295", {}).has_value());
    EXPECT_FALSE(resolve_user_in(passwd, groups, "0:4294967296", {}).has_value());
}

}  // namespace corten::engine
