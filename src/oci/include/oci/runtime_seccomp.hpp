#pragma once
// The seccomp section of the OCI runtime specification 1.2 (config-linux.md, "Seccomp").
#include <base/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace corten::oci {

struct SeccompArgument {
    std::uint32_t index = 0;
    std::uint64_t value = 0;
    std::uint64_t value_two = 0;  ///< the right-hand side of SCMP_CMP_MASKED_EQ; value is the mask
    std::string op;               ///< "SCMP_CMP_EQ", ...
    static constexpr void fields(auto visit) {
        visit(field("index", &SeccompArgument::index), field("value", &SeccompArgument::value),
              omit_empty("valueTwo", &SeccompArgument::value_two),
              field("op", &SeccompArgument::op));
    }
};

struct SeccompSyscall {
    std::vector<std::string> names;
    std::string action;  ///< "SCMP_ACT_ALLOW", ...
    std::optional<std::uint32_t> errno_ret;
    std::vector<SeccompArgument> args;
    static constexpr void fields(auto visit) {
        visit(field("names", &SeccompSyscall::names), field("action", &SeccompSyscall::action),
              omit_empty("errnoRet", &SeccompSyscall::errno_ret),
              omit_empty("args", &SeccompSyscall::args));
    }
};

struct LinuxSeccomp {
    std::string default_action;
    std::optional<std::uint32_t> default_errno_ret;
    std::vector<std::string> architectures;  ///< "SCMP_ARCH_X86_64", ...
    std::vector<std::string> flags;          ///< "SECCOMP_FILTER_FLAG_LOG", ...
    std::string listener_path;
    std::string listener_metadata;
    std::vector<SeccompSyscall> syscalls;
    static constexpr void fields(auto visit) {
        visit(field("defaultAction", &LinuxSeccomp::default_action),
              omit_empty("defaultErrnoRet", &LinuxSeccomp::default_errno_ret),
              omit_empty("architectures", &LinuxSeccomp::architectures),
              omit_empty("flags", &LinuxSeccomp::flags),
              omit_empty("listenerPath", &LinuxSeccomp::listener_path),
              omit_empty("listenerMetadata", &LinuxSeccomp::listener_metadata),
              omit_empty("syscalls", &LinuxSeccomp::syscalls));
    }
};

}  // namespace corten::oci
