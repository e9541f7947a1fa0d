#include "capabilities.hpp"

#include <oci/capability_names.hpp>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <linux/capability.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace corten::runtime {

std::optional<int> capability_number(std::string_view name) {
    const auto& names = oci::capability_names();
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return std::nullopt;
    return static_cast<int>(found - names.begin());
}

namespace {

/// PR_CAPBSET_READ fails for the first number this kernel does not know.
std::uint64_t own_bounding_set() {
    std::uint64_t set = 0;
    for (unsigned long n = 0; n < 64; ++n) {
        const int has = ::prctl(PR_CAPBSET_READ, n, 0, 0, 0);
        if (has < 0) break;
        if (has == 1) set |= 1ULL << n;
    }
    return set;
}

class Resolver {
public:
    std::uint64_t resolve(const std::vector<std::string>& names) {
        std::uint64_t set = 0;
        for (const auto& name : names) {
            const auto number = capability_number(name);
            if (number && (grantable_ >> *number & 1) != 0)
                set |= 1ULL << *number;
            else
                refused_.insert(name);
        }
        return set;
    }
    const std::set<std::string>& refused() const { return refused_; }

private:
    std::uint64_t grantable_ = own_bounding_set();
    std::set<std::string> refused_;
};

std::vector<std::string> names_of(std::uint64_t set) {
    std::vector<std::string> names;
    for (std::size_t n = 0; n < oci::capability_names().size(); ++n)
        if ((set >> n & 1) != 0) names.push_back(oci::capability_names()[n]);
    return names;
}

Result<void> clear_ambient_set() {
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return fail_errno("clear the ambient capabilities");
    return {};
}

}  // namespace

CapabilitySets resolve_capabilities(const oci::LinuxCapabilities& wanted,
                                    std::vector<std::string>& warnings) {
    Resolver resolver;
    CapabilitySets sets;
    sets.bounding = resolver.resolve(wanted.bounding);
    sets.effective = resolver.resolve(wanted.effective);
    sets.inheritable = resolver.resolve(wanted.inheritable);
    sets.permitted = resolver.resolve(wanted.permitted);
    sets.ambient = resolver.resolve(wanted.ambient);
    for (const auto& name : resolver.refused())
        warnings.push_back(
            fmt::format("process.capabilities: {} cannot be granted here, ignoring", name));
    // The kernel's own rule (capabilities(7)).
    for (const auto& name : names_of(sets.ambient & ~(sets.permitted & sets.inheritable)))
        warnings.push_back(fmt::format(
            "can't raise ambient capability {}: it is not both permitted and inheritable", name));
    sets.ambient &= sets.permitted & sets.inheritable;
    return sets;
}

std::uint64_t all_capabilities() {
    return (1ULL << oci::capability_names().size()) - 1;
}

Result<void> limit_bounding_set(std::uint64_t keep) {
    for (unsigned long n = 0; n < 64; ++n) {
        if ((keep >> n & 1) != 0) continue;
        if (::prctl(PR_CAPBSET_DROP, n, 0, 0, 0) == 0) continue;
        if (errno == EINVAL) break;  // past the last capability of this kernel
        return fail_errno("drop {} from the bounding set", n < oci::capability_names().size()
                                                               ? oci::capability_names()[n]
                                                               : "a capability");
    }
    return {};
}

Result<void> set_capabilities(const CapabilitySets& sets) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    for (int i = 0; i < 2; ++i) {
        data[i].effective = static_cast<std::uint32_t>(sets.effective >> (32 * i));
        data[i].permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * i));
        data[i].inheritable = static_cast<std::uint32_t>(sets.inheritable >> (32 * i));
    }
    if (::syscall(SYS_capset, &header, data) < 0) return fail_errno("set the capabilities");
    TRY(clear_ambient_set());
    for (unsigned long n = 0; n < 64; ++n)
        if ((sets.ambient >> n & 1) != 0 &&
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
            return fail_errno("raise {} in the ambient set", oci::capability_names()[n]);
    return {};
}

}  // namespace corten::runtime
