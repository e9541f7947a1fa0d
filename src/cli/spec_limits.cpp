#include "specs.hpp"

#include <base/text.hpp>
#include <base/units.hpp>

#include <algorithm>
#include <array>

namespace corten::cli {

namespace {

bool is_device_mode(std::string_view mode) {
    if (mode.empty() || mode.size() > 3) return false;
    for (std::size_t i = 0; i < mode.size(); ++i)
        if (std::string_view("rwm").find(mode[i]) == std::string_view::npos ||
            mode.find(mode[i], i + 1) != mode.npos)
            return false;
    return true;
}

constexpr std::array ulimit_names = {"core",    "cpu",      "data",   "fsize",      "locks",
                                     "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                     "rss",     "rtprio",   "rttime", "sigpending", "stack"};

/// "/dev/sda:VALUE" in two.
Result<std::pair<std::string, std::string>> split_device(const std::string& spec) {
    const auto [path, value] = split_once(spec, ':');
    if (path.empty() || value.empty() || value.find(':') != value.npos)
        return fail(ErrorKind::invalid, "bad format: {}", spec);
    if (!path.starts_with("/dev/"))
        return fail(ErrorKind::invalid, "bad format for device path: {}", spec);
    return std::pair(std::string(path), std::string(value));
}

}  // namespace

Result<apitypes::DeviceMapping> parse_device(const std::string& spec) {
    const auto parts = split(spec, ':');
    apitypes::DeviceMapping device{.path_on_host = parts[0], .cgroup_permissions = "rwm"};
    if (parts.size() > 3 || parts[0].empty())
        return fail(ErrorKind::invalid, "invalid device specification: {}", spec);
    if (parts.size() == 3) device.cgroup_permissions = parts[2];
    if (parts.size() >= 2) {
        if (parts.size() == 2 && is_device_mode(parts[1]))
            device.cgroup_permissions = parts[1];
        else
            device.path_in_container = parts[1];
    }
    if (device.path_in_container.empty()) device.path_in_container = device.path_on_host;
    if (!device.path_in_container.starts_with('/'))
        return fail(ErrorKind::invalid, "{} is not an absolute path", device.path_in_container);
    if (!is_device_mode(device.cgroup_permissions))
        return fail(ErrorKind::invalid, "bad mode specified: {}", device.cgroup_permissions);
    return device;
}

bool is_cdi_device(std::string_view spec) {
    const auto [kind, name] = split_once(spec, '=');
    const auto [vendor, cls] = split_once(kind, '/');
    return !spec.starts_with('/') && !vendor.empty() && !cls.empty() && !name.empty();
}

Result<apitypes::DeviceRequest> parse_gpus(const std::string& spec) {
    apitypes::DeviceRequest request{.capabilities = {{{"gpu"}}}, .options = apitypes::StringMap{}};
    for (const std::string& field : TRY(split_csv(spec))) {
        const auto [key, value] = split_once(field, '=');
        const bool bare = key.size() == field.size();
        if (bare || key == "count") {
            const std::string_view count = bare ? key : value;
            request.count =
                count == "all" ? -1 : static_cast<int>(TRY(parse_integer(count, "count")));
        } else if (key == "driver") {
            request.driver = value;
        } else if (key == "device") {
            request.device_ids = split(value, ',');
        } else if (key == "capabilities") {
            request.capabilities->front() = split(value, ',');
            request.capabilities->front().emplace_back("gpu");
        } else if (key == "options") {
            for (const std::string& option : TRY(split_csv(value))) {
                const auto [name, setting] = split_once(option, '=');
                (*request.options)[std::string(name)] = setting;
            }
        } else {
            return fail(ErrorKind::invalid, "unexpected key '{}' in '{}'", key, field);
        }
    }
    if (request.count == 0 && !request.device_ids) request.count = 1;
    return request;
}

Result<apitypes::Ulimit> parse_ulimit(const std::string& spec) {
    const auto [name, limits] = split_once(spec, '=');
    if (name.empty() || limits.empty())
        return fail(ErrorKind::invalid, "invalid ulimit argument: {}", spec);
    if (std::ranges::find(ulimit_names, name) == ulimit_names.end())
        return fail(ErrorKind::invalid, "invalid ulimit type: {}", name);
    const auto [soft, hard] = split_once(limits, ':');
    if (hard.find(':') != hard.npos)
        return fail(ErrorKind::invalid,
                    "too many limit value arguments - {}, can only have up to two, "
                    "`soft[:hard]`",
                    limits);
    apitypes::Ulimit limit{.name = std::string(name)};
    limit.soft = TRY(parse_integer(soft, "ulimit"));
    limit.hard = hard.empty() ? limit.soft : TRY(parse_integer(hard, "ulimit"));
    if (limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard))
        return fail(ErrorKind::invalid,
                    "ulimit soft limit must be less than or equal to hard limit: "
                    "{} > {}",
                    limit.soft, limit.hard);
    return limit;
}

Result<apitypes::WeightDevice> parse_weight_device(const std::string& spec) {
    auto [path, value] = TRY(split_device(spec));
    const auto weight = parse_integer(value, "weight");
    if (!weight || (*weight != 0 && (*weight < 10 || *weight > 1000)))
        return fail(ErrorKind::invalid, "invalid weight for device: {}", spec);
    return apitypes::WeightDevice{.path = path, .weight = static_cast<std::uint16_t>(*weight)};
}

Result<apitypes::ThrottleDevice> parse_throttle_bytes(const std::string& spec) {
    auto [path, value] = TRY(split_device(spec));
    const auto rate = parse_size(value, "rate");
    if (!rate || *rate < 0)
        return fail(
            ErrorKind::invalid,
            "invalid rate for device: {}. The correct format is <device-path>:<number>[<unit>]."
            " Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
            spec);
    return apitypes::ThrottleDevice{.path = path, .rate = static_cast<std::uint64_t>(*rate)};
}

Result<apitypes::ThrottleDevice> parse_throttle_operations(const std::string& spec) {
    auto [path, value] = TRY(split_device(spec));
    const auto rate = parse_integer(value, "rate");
    if (!rate || *rate < 0)
        return fail(ErrorKind::invalid,
                    "invalid rate for device: {}. The correct format is "
                    "<device-path>:<number>. Number must be a positive integer",
                    spec);
    return apitypes::ThrottleDevice{.path = path, .rate = static_cast<std::uint64_t>(*rate)};
}

Result<apitypes::RestartPolicy> parse_restart_policy(const std::string& spec) {
    const auto [name, count] = split_once(spec, ':');
    apitypes::RestartPolicy policy{.name = std::string(name)};
    if (name.size() == spec.size()) return policy;
    if (name.empty())
        return fail(ErrorKind::invalid,
                    "invalid restart policy format: no policy provided before colon");
    const auto number = parse_integer(count, "count");
    if (!number || *number < 0 || *number > 1'000'000'000)
        return fail(ErrorKind::invalid,
                    "invalid restart policy format: maximum retry count must be an integer");
    policy.maximum_retry_count = static_cast<int>(*number);
    return policy;
}

Result<std::int64_t> parse_cpus(const std::string& spec) {
    const auto [whole, part] = split_once(spec, '.');
    constexpr std::size_t digits = 9;
    std::string nanos(part);
    while (nanos.size() > digits && nanos.ends_with('0')) nanos.pop_back();
    if (nanos.size() > digits) return fail(ErrorKind::invalid, "value is too precise");
    nanos.resize(digits, '0');
    const auto units = parse_integer(whole.empty() ? "0" : whole, "cpus");
    const auto rest = parse_integer(nanos, "cpus");
    const bool bad =
        !units || !rest || *units < 0 || *rest < 0 || *units > 1'000'000 || spec == ".";
    if (bad) return fail(ErrorKind::invalid, "failed to parse {} as a rational number", spec);
    return *units * 1'000'000'000 + *rest;
}

}  // namespace corten::cli
