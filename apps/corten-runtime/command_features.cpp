#include "commands.hpp"

#include <base/json.hpp>
#include <oci/runtime_spec.hpp>
#include <runtime/features.hpp>

#include <seccomp/compile.hpp>

namespace corten::runtime_cli {

/// The structure of the specification's features.md.
Result<int> features() {
    const auto known = runtime::features();
    Json seccomp = {{"enabled", true},
                    {"actions", seccomp::known_actions()},
                    {"operators", seccomp::known_operators()},
                    {"archs", seccomp::known_architectures()},
                    {"knownFlags", seccomp::known_flags()},
                    {"supportedFlags", seccomp::supported_flags()}};
    Json section = {
        {"namespaces", known.namespaces},
        {"capabilities", known.capabilities},
        {"cgroup",
         {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}}},
        {"seccomp", std::move(seccomp)},
        {"apparmor", {{"enabled", true}}},
        {"selinux", {{"enabled", true}}},
        {"intelRdt", {{"enabled", false}}},
        {"mountExtensions", {{"idmap", {{"enabled", true}}}}}};
    Json out = {
        {"ociVersionMin", "1.0.0"},    {"ociVersionMax", oci::runtime_spec_version},
        {"hooks", known.hooks},        {"mountOptions", known.mount_options},
        {"linux", std::move(section)}, {"potentiallyUnsafeConfigAnnotations", Json::array()}};
    fmt::print("{}\n", out.dump(2));
    return 0;
}

}  // namespace corten::runtime_cli
