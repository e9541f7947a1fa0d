#pragma once
// What control group hierarchies this machine has mounted, found in mountinfo, not guessed from
// versions. "hybrid" is v1 controllers beside a cgroup2 mount that has none or few of them.
#include <base/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::cgroup {

enum class Mode { none, v1, v2, hybrid };
std::string_view to_string(Mode mode);

/// One v1 hierarchy: a mount, the controllers on it ("cpu", "cpuacct", ... or "name=systemd").
struct Hierarchy {
    std::string mount_point;
    std::vector<std::string> controllers;
    /// The cgroup that is visible at mount_point (mountinfo's root field), "/" in general.
    std::string root;
    /// Where the calling process stands in it, as /proc/self/cgroup tells.
    std::string own_path;
    bool has(std::string_view controller) const;
};

struct Layout {
    Mode mode = Mode::none;
    std::vector<Hierarchy> v1;
    /// The cgroup2 mount; its controllers are those of cgroup.controllers.
    std::optional<Hierarchy> v2;

    /// Reads /proc/self/mountinfo and /proc/self/cgroup.
    static Result<Layout> detect();
    /// The same from text (tests). `v2_controllers` is the content of cgroup.controllers.
    static Result<Layout> parse(std::string_view mountinfo, std::string_view self_cgroup,
                                std::string_view v2_controllers);

    /// The v1 hierarchy with this controller, or null.
    const Hierarchy* find(std::string_view controller) const;
    bool unified() const { return mode == Mode::v2; }
};

}  // namespace corten::cgroup
