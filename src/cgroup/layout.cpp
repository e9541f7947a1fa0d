#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/mountinfo.hpp>

#include <cgroup/layout.hpp>

#include <algorithm>

namespace corten::cgroup {
namespace {

struct MountLine {
    std::string root;
    std::string mount_point;
    std::string type;
    std::string super_options;
};

/// proc(5): id parent dev root mount_point options fields... - type source super_options
std::optional<MountLine> parse_line(const std::string& line) {
    const auto fields = split(line, ' ');
    const auto dash = std::ranges::find(fields, "-");
    if (fields.size() < 10 || fields.end() - dash < 4) return std::nullopt;
    return MountLine{sys::mountinfo_unescaped(fields[3]), sys::mountinfo_unescaped(fields[4]),
                     *(dash + 1), *(dash + 3)};
}

bool is_controller(std::string_view option) {
    static constexpr std::string_view others[] = {
        "rw", "ro", "noprefix", "xattr", "clone_children", "cpuset_v2_mode", "nsdelegate"};
    return !option.empty() && std::ranges::find(others, option) == std::end(others) &&
           (option.find('=') == option.npos || option.starts_with("name="));
}

std::vector<std::string> controllers_of(const std::string& super_options) {
    std::vector<std::string> controllers;
    for (const auto& option : split(super_options, ','))
        if (is_controller(option)) controllers.push_back(option);
    return controllers;
}

/// "3:cpu,cpuacct:/path": the path of the hierarchy with this controller; "" is v2's.
std::string own_path(std::string_view self_cgroup, std::string_view controller) {
    for (const auto& line : split(self_cgroup, '\n')) {
        const auto [id, rest] = split_once(line, ':');
        const auto [names, path] = split_once(rest, ':');
        const auto all = split(names, ',');
        if (std::ranges::find(all, controller) != all.end()) return std::string(path);
    }
    return "/";
}

std::vector<std::string> words(std::string_view text) {
    auto all = split(trim(text), ' ');
    std::erase(all, "");
    return all;
}

}  // namespace

std::string_view to_string(Mode mode) {
    switch (mode) {
        case Mode::none:
            return "none";
        case Mode::v1:
            return "v1";
        case Mode::v2:
            return "v2";
        case Mode::hybrid:
            return "hybrid";
    }
    return "none";
}

bool Hierarchy::has(std::string_view controller) const {
    return std::ranges::find(controllers, controller) != controllers.end();
}

Result<Layout> Layout::detect() {
    const auto mountinfo = TRY(sys::read_file("/proc/self/mountinfo"));
    const auto self = TRY(sys::read_file("/proc/self/cgroup"));
    auto layout = TRY(parse(mountinfo, self, ""));
    if (layout.v2) {
        const auto names = sys::read_file(layout.v2->mount_point + "/cgroup.controllers");
        if (names) layout.v2->controllers = words(*names);
    }
    return layout;
}

Result<Layout> Layout::parse(std::string_view mountinfo, std::string_view self_cgroup,
                             std::string_view v2_controllers) {
    Layout layout;
    for (const auto& text : split(mountinfo, '\n')) {
        // Most lines are other mounts; taking them apart would be the larger part of this.
        if (text.find(" - cgroup") == text.npos) continue;
        const auto line = parse_line(text);
        if (!line) continue;
        if (line->type == "cgroup2" && !layout.v2) {
            layout.v2 = Hierarchy{line->mount_point, words(v2_controllers), line->root,
                                  own_path(self_cgroup, "")};
        } else if (line->type == "cgroup") {
            auto controllers = controllers_of(line->super_options);
            // The same hierarchy may be mounted more than once; the first is as good as any.
            if (controllers.empty() || layout.find(controllers[0]) != nullptr) continue;
            auto own = own_path(self_cgroup, controllers[0]);
            layout.v1.push_back({line->mount_point, std::move(controllers), line->root, own});
        }
    }
    if (layout.v1.empty())
        layout.mode = layout.v2 ? Mode::v2 : Mode::none;
    else
        layout.mode = layout.v2 ? Mode::hybrid : Mode::v1;
    return layout;
}

const Hierarchy* Layout::find(std::string_view controller) const {
    for (const auto& hierarchy : v1)
        if (hierarchy.has(controller)) return &hierarchy;
    return nullptr;
}

}  // namespace corten::cgroup
