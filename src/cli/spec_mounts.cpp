#include "flags.hpp"
#include "specs.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <filesystem>

namespace corten::cli {

namespace {

std::string absolute(const std::string& path) {
    std::error_code error;
    const auto full = std::filesystem::absolute(path, error);
    return error ? path : full.lexically_normal().string();
}

bool is_path(std::string_view text) {
    return text.starts_with('/') || text.starts_with('.') || text.starts_with('~');
}

std::string without_end_slash(std::string path) {
    if (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

Error bad_value(std::string_view key, std::string_view value) {
    return fail(ErrorKind::invalid, "invalid value for {}: {}", key, value);
}

Result<bool> flag_value(std::string_view key, std::string_view value, bool has_value) {
    if (!has_value) return true;
    const auto parsed = parse_bool(value);
    if (!parsed) return bad_value(key, value);
    return *parsed;
}

/// The fields of one --mount, in the order in which they are written.
class MountParser {
public:
    Result<apitypes::Mount> run(const std::string& spec) {
        for (const std::string& field : TRY(split_csv(spec))) {
            const auto [key, value] = split_once(field, '=');
            TRY(take(to_lower(key), std::string(value), field));
        }
        TRY(check());
        return std::move(mount_);
    }

private:
    Result<void> take(const std::string& key, const std::string& value, const std::string& field) {
        const bool has_value = field.find('=') != field.npos;
        if (!has_value && key != "readonly" && key != "ro" && key != "volume-nocopy" &&
            key != "bind-nonrecursive" && key != "bind-create-src")
            return fail(ErrorKind::invalid, "invalid field '{}' must be a key=value pair", field);
        if (key == "type")
            mount_.type = to_lower(value);
        else if (key == "source" || key == "src")
            mount_.source = value;
        else if (key == "target" || key == "dst" || key == "destination")
            mount_.target = value;
        else if (key == "readonly" || key == "ro")
            mount_.read_only = TRY(flag_value(key, value, has_value));
        else if (key == "consistency")
            mount_.consistency = to_lower(value);
        else if (key.starts_with("bind-"))
            return take_bind(key, value, has_value);
        else if (key.starts_with("volume-"))
            return take_volume(key, value, has_value);
        else if (key.starts_with("tmpfs-"))
            return take_tmpfs(key, value);
        else if (key == "image-subpath")
            image().subpath = value;
        else
            return fail(ErrorKind::invalid, "unknown option '{}' in '{}'", key, field);
        return {};
    }

    apitypes::BindOptions& bind() {
        if (!mount_.bind_options) mount_.bind_options.emplace();
        return *mount_.bind_options;
    }
    apitypes::VolumeOptions& volume() {
        if (!mount_.volume_options) mount_.volume_options.emplace();
        return *mount_.volume_options;
    }
    apitypes::MountDriver& driver() {
        if (!volume().driver_config) volume().driver_config.emplace();
        return *volume().driver_config;
    }
    apitypes::ImageOptions& image() {
        if (!mount_.image_options) mount_.image_options.emplace();
        return *mount_.image_options;
    }
    apitypes::TmpfsOptions& tmpfs() {
        if (!mount_.tmpfs_options) mount_.tmpfs_options.emplace();
        return *mount_.tmpfs_options;
    }

    Result<void> take_bind(const std::string& key, const std::string& value, bool has_value) {
        if (key == "bind-propagation")
            bind().propagation = to_lower(value);
        else if (key == "bind-nonrecursive")
            bind().non_recursive = TRY(flag_value(key, value, has_value));
        else if (key == "bind-create-src")
            bind().create_mountpoint = TRY(flag_value(key, value, has_value));
        else if (key == "bind-recursive")
            return take_recursive(value);
        else
            return fail(ErrorKind::invalid, "unknown option '{}'", key);
        return {};
    }
    Result<void> take_recursive(const std::string& value) {
        if (value == "enabled") return {};
        if (value == "disabled")
            bind().non_recursive = true;
        else if (value == "writable")
            bind().read_only_non_recursive = true;
        else if (value == "readonly")
            bind().read_only_force_recursive = true;
        else
            return fail(ErrorKind::invalid,
                        "invalid value for bind-recursive: {} (must be "
                        "\"enabled\", \"disabled\", \"writable\", or "
                        "\"readonly\")",
                        value);
        return {};
    }

    Result<void> take_volume(const std::string& key, const std::string& value, bool has_value) {
        const auto [name, setting] = split_once(value, '=');
        if (key == "volume-nocopy")
            volume().no_copy = TRY(flag_value(key, value, has_value));
        else if (key == "volume-subpath")
            volume().subpath = value;
        else if (key == "volume-label")
            volume().labels[std::string(name)] = setting;
        else if (key == "volume-driver")
            driver().name = value;
        else if (key == "volume-opt")
            driver().options[std::string(name)] = setting;
        else
            return fail(ErrorKind::invalid, "unknown option '{}'", key);
        return {};
    }

    Result<void> take_tmpfs(const std::string& key, const std::string& value) {
        if (key == "tmpfs-size") {
            const auto bytes = parse_size(value, key);
            if (!bytes) return bad_value(key, value);
            tmpfs().size_bytes = *bytes;
        } else if (key == "tmpfs-mode") {
            char* end = nullptr;
            const auto mode = std::strtoul(value.c_str(), &end, 8);
            if (value.empty() || *end != '\0') return bad_value(key, value);
            tmpfs().mode = static_cast<std::uint32_t>(mode);
        } else {
            return fail(ErrorKind::invalid, "unknown option '{}'", key);
        }
        return {};
    }

    Result<void> refuse_options(std::string_view prefix, bool given, std::string_view type) const {
        if (!given || mount_.type == type) return {};
        return fail(ErrorKind::invalid, "cannot mix '{}-*' options with mount type '{}'", prefix,
                    mount_.type);
    }

    Result<void> check() {
        if (mount_.type.empty()) mount_.type = "volume";
        if (mount_.target.empty()) return fail(ErrorKind::invalid, "target is required");
        if (mount_.type == "bind" && mount_.source.starts_with('.'))
            mount_.source = absolute(mount_.source);
        TRY(refuse_options("volume", mount_.volume_options.has_value(), "volume"));
        TRY(refuse_options("image", mount_.image_options.has_value(), "image"));
        TRY(refuse_options("bind", mount_.bind_options.has_value(), "bind"));
        TRY(refuse_options("tmpfs", mount_.tmpfs_options.has_value(), "tmpfs"));
        const auto& options = mount_.bind_options;
        if (!options || mount_.read_only) return {};
        if (options->read_only_non_recursive)
            return fail(ErrorKind::invalid,
                        "option 'bind-recursive=writable' requires 'readonly' to be "
                        "specified in conjunction");
        if (options->read_only_force_recursive)
            return fail(ErrorKind::invalid,
                        "option 'bind-recursive=readonly' requires 'readonly' to be "
                        "specified in conjunction");
        return {};
    }

    apitypes::Mount mount_;
};

}  // namespace

Result<void> parse_volume(const std::string& spec, apitypes::Strings& binds,
                          apitypes::NameSet& volumes) {
    if (spec.empty()) return fail(ErrorKind::invalid, "invalid empty volume spec");
    const auto parts = split(spec, ':');
    if (std::ranges::any_of(parts, [](const std::string& part) { return part.empty(); }))
        return fail(ErrorKind::invalid, "invalid spec: {}: empty section between colons", spec);
    if (parts.size() > 3)
        return fail(ErrorKind::invalid, "invalid spec: {}: too many colons", spec);
    if (parts.size() == 1) {
        volumes[without_end_slash(spec)];
        return {};
    }
    const auto [source, rest] = split_once(spec, ':');
    const bool relative = is_path(source) && source.starts_with('.');
    binds.push_back(relative ? fmt::format("{}:{}", absolute(std::string(source)), rest) : spec);
    return {};
}

Result<apitypes::Mount> parse_mount(const std::string& spec) {
    return MountParser().run(spec);
}

Result<std::vector<std::string>> split_csv(std::string_view line) {
    std::vector<std::string> fields(1);
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted) {
            const bool doubled = c == '"' && line.substr(i + 1).starts_with('"');
            if (c != '"' || doubled)
                fields.back() += c;
            else
                quoted = false;
            if (doubled) ++i;
        } else if (c == '"') {
            if (!fields.back().empty())
                return fail(ErrorKind::invalid, "parse error in \"{}\": bare \" in field", line);
            quoted = true;
        } else if (c == ',') {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    if (quoted)
        return fail(ErrorKind::invalid, "parse error in \"{}\": missing \" at the end", line);
    return fields;
}

}  // namespace corten::cli
