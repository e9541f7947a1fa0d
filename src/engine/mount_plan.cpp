#include "mount_plan.hpp"

#include "names.hpp"
#include "volume_options.hpp"

#include <base/ids.hpp>
#include <base/text.hpp>

#include <algorithm>
#include <array>

namespace corten::engine {

namespace {

constexpr std::array propagations = {"private", "rprivate", "shared", "rshared", "slave", "rslave"};

bool is_propagation(std::string_view word) {
    return std::ranges::find(propagations, word) != propagations.end();
}

Result<std::string> checked_target(std::string_view target) {
    if (!target.starts_with('/'))
        return fail(ErrorKind::invalid, "invalid mount path: '{}' mount path must be absolute",
                    target);
    std::string clean = clean_path(target);
    if (clean == "/")
        return fail(ErrorKind::invalid, "invalid specification: destination can't be '/'");
    return clean;
}

Result<void> apply_bind_mode(PlannedMount& mount, std::string_view mode, std::string_view whole) {
    for (const auto& word : split(mode, ',')) {
        if (word == "ro" || word == "readonly") {
            mount.read_only = true;
        } else if (word == "nocopy" && mount.type == "volume") {
            mount.no_copy = true;
        } else if (is_propagation(word) && mount.type == "bind") {
            mount.propagation = word;
        } else if (word != "rw" && word != "z" && word != "Z" && word != "consistent" &&
                   word != "cached" && word != "delegated" && !word.empty()) {
            // z and Z relabel for SELinux, the last three are hints of other systems: as with
            // docker they change nothing on a host without SELinux.
            return fail(ErrorKind::invalid, "invalid mode: {} in volume \"{}\"", word, whole);
        }
    }
    mount.mode = mode;
    return {};
}

/// One -v: "source:target[:mode]".
Result<PlannedMount> plan_bind(const std::string& text) {
    const auto parts = split(text, ':');
    if (parts.size() < 2 || parts.size() > 3 || parts[0].empty() || parts[1].empty())
        return fail(ErrorKind::invalid, "invalid volume specification: '{}'", text);
    PlannedMount mount;
    mount.target = TRY(checked_target(parts[1]));
    if (parts[0].starts_with('/')) {
        mount.type = "bind";
        mount.source = clean_path(parts[0]);
        mount.create_source = true;
    } else {
        TRY(check_volume_name(parts[0]));
        mount.type = "volume";
        mount.name = parts[0];
    }
    if (parts.size() == 3) TRY(apply_bind_mode(mount, parts[2], text));
    if (mount.type == "volume" && mount.mode.empty()) mount.mode = "z";
    return mount;
}

Result<void> plan_bind_options(PlannedMount& mount, const apitypes::BindOptions& options) {
    if (!options.propagation.empty() && !is_propagation(options.propagation))
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"bind\": invalid propagation mode: {}",
                    options.propagation);
    if (!options.propagation.empty()) mount.propagation = options.propagation;
    mount.recursive = !options.non_recursive;
    mount.create_source = options.create_mountpoint;
    mount.recursive_read_only = !options.read_only_non_recursive;
    // A read-only mount is recursively so anyway, or its start fails.
    if (options.read_only_force_recursive &&
        (!mount.read_only || !mount.recursive || !mount.recursive_read_only))
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"bind\": ReadOnlyForceRecursive needs a "
                    "recursive read-only mount");
    return {};
}

std::string tmpfs_text(const apitypes::TmpfsOptions& options) {
    std::vector<std::string> words;
    if (options.size_bytes > 0) words.push_back(fmt::format("size={}", options.size_bytes));
    if (options.mode != 0) words.push_back(fmt::format("mode={:o}", options.mode));
    for (const auto& option : options.options) words.push_back(join(option, "="));
    return join(words, ",");
}

Result<PlannedMount> plan_bind_mount(const apitypes::Mount& asked, PlannedMount mount) {
    if (!asked.source.starts_with('/'))
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"bind\": invalid mount path: '{}' mount path "
                    "must be absolute",
                    asked.source);
    if (asked.volume_options || asked.tmpfs_options)
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"bind\": it has options of another type");
    mount.source = clean_path(asked.source);
    if (asked.bind_options) TRY(plan_bind_options(mount, *asked.bind_options));
    return mount;
}

Result<PlannedMount> plan_volume_mount(const apitypes::Mount& asked, PlannedMount mount) {
    if (asked.bind_options || asked.tmpfs_options)
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"volume\": it has options of another type");
    mount.name = asked.source;
    if (!mount.name.empty()) TRY(check_volume_name(mount.name));
    mount.mode = "z";
    if (const auto& options = asked.volume_options) {
        mount.no_copy = options->no_copy;
        mount.subpath = options->subpath;
        if (options->driver_config && !options->driver_config->name.empty() &&
            options->driver_config->name != "local")
            return fail(ErrorKind::not_built,
                        "volume driver \"{}\" is not installed: only \"local\" is built in",
                        options->driver_config->name);
        if (options->driver_config) mount.volume_options = options->driver_config->options;
        mount.volume_labels = options->labels;
        TRY(parse_volume_options(mount.volume_options));
    }
    return mount;
}

/// One --mount.
Result<PlannedMount> plan_mount(const apitypes::Mount& asked) {
    PlannedMount mount;
    mount.type = asked.type;
    if (asked.target.empty())
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"{}\": field Target must not be empty",
                    asked.type);
    mount.target =
        TRY(checked_target(asked.target)
                .context(fmt::format("invalid mount config for type \"{}\"", asked.type)));
    mount.read_only = asked.read_only;
    if (asked.type == "bind") return plan_bind_mount(asked, std::move(mount));
    if (asked.type == "volume") return plan_volume_mount(asked, std::move(mount));
    if (asked.type == "tmpfs") {
        if (!asked.source.empty())
            return fail(
                ErrorKind::invalid,
                "invalid mount config for type \"tmpfs\": field Source must not be specified");
        if (asked.tmpfs_options) mount.tmpfs_options = tmpfs_text(*asked.tmpfs_options);
        return mount;
    }
    if (asked.type == "image" || asked.type == "npipe" || asked.type == "cluster")
        return fail(ErrorKind::not_built, "mounts of type \"{}\" are not implemented", asked.type);
    return fail(ErrorKind::invalid, "mount type unknown: \"{}\"", asked.type);
}

class Plan {
public:
    Result<void> add(PlannedMount mount) {
        if (has(mount.target))
            return fail(ErrorKind::invalid, "Duplicate mount point: {}", mount.target);
        if (mount.type == "volume" && mount.name.empty()) {
            mount.name = random_id();
            mount.anonymous = true;
        }
        mounts_.push_back(std::move(mount));
        return {};
    }
    bool has(std::string_view target) const {
        return std::ranges::find(mounts_, target, &PlannedMount::target) != mounts_.end();
    }
    void replace(PlannedMount mount) {
        std::erase_if(mounts_, [&](const auto& other) { return other.target == mount.target; });
        mounts_.push_back(std::move(mount));
    }
    std::vector<PlannedMount> take() { return std::move(mounts_); }

private:
    std::vector<PlannedMount> mounts_;
};

/// "container[:ro|rw]": its volumes and binds come first and give way to the user's own.
Result<void> add_volumes_from(Plan& plan, const std::string& text, const MountsOf& mounts_of) {
    const auto [container, mode] = split_once(text, ':');
    if (!mode.empty() && mode != "ro" && mode != "rw")
        return fail(ErrorKind::invalid, "invalid mode: {} in volumes-from \"{}\"", mode, text);
    for (auto& mount : TRY(mounts_of(container))) {
        if (mount.type == "tmpfs") continue;
        mount.read_only = mount.read_only || mode == "ro";
        mount.anonymous = false;  // the other container owns it
        plan.replace(std::move(mount));
    }
    return {};
}

}  // namespace

std::string clean_path(std::string_view path) {
    std::vector<std::string> parts;
    for (auto& part : split(path, '/')) {
        if (part == ".." && !parts.empty()) parts.pop_back();
        if (part.empty() || part == "." || part == "..") continue;
        parts.push_back(std::move(part));
    }
    return "/" + join(parts, "/");
}

Result<std::vector<PlannedMount>> plan_mounts(const apitypes::ContainerConfig& config,
                                              const apitypes::HostConfig& host,
                                              const MountsOf& mounts_of, ReadOnlyBinds read_only) {
    Plan inherited;
    for (const auto& text : apitypes::items(host.volumes_from))
        TRY(add_volumes_from(inherited, text, mounts_of));

    Plan plan;
    const auto add = [&](PlannedMount mount) {
        if (mount.type == "bind" && read_only == ReadOnlyBinds::shallow)
            mount.recursive_read_only = false;
        return plan.add(std::move(mount));
    };
    for (const auto& text : apitypes::items(host.binds)) TRY(add(TRY(plan_bind(text))));
    for (const auto& asked : host.mounts) TRY(add(TRY(plan_mount(asked))));
    for (const auto& [target, options] : host.tmpfs) {
        PlannedMount mount;
        mount.type = "tmpfs";
        mount.target = TRY(checked_target(target));
        mount.tmpfs_options = options;
        TRY(plan.add(std::move(mount)));
    }
    for (auto& mount : inherited.take())
        if (!plan.has(mount.target)) TRY(plan.add(std::move(mount)));
    for (const auto& [target, unused] : apitypes::items(config.volumes)) {
        PlannedMount mount;
        mount.type = "volume";
        mount.target = TRY(checked_target(target));
        if (!plan.has(mount.target)) TRY(plan.add(std::move(mount)));
    }
    return plan.take();
}

}  // namespace corten::engine
