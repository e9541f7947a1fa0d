#include <base/signals.hpp>
#include <base/text.hpp>
#include <base/units.hpp>
#include <image/changes.hpp>

#include <array>
#include <limits>

namespace corten::image {

namespace {

using Words = std::vector<std::string>;

/// The JSON array form of an instruction, or nullopt when it is not one.
std::optional<Words> exec_form(std::string_view text) {
    if (!text.starts_with('[')) return std::nullopt;
    auto words = parse_as<Words>(text, "instruction");
    if (!words) return std::nullopt;
    return *std::move(words);
}

/// Words separated by blanks, with quotes and backslashes as a shell reads them.
Result<Words> shell_words(std::string_view text) {
    Words words;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
            word += text[++i];
            in_word = true;
        } else if (quote != 0) {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '"' || c == '\'') {
            quote = c;
            in_word = true;
        } else if (c == ' ' || c == '\t') {
            if (in_word) words.push_back(std::exchange(word, {}));
            in_word = false;
        } else {
            word += c;
            in_word = true;
        }
    }
    if (quote != 0) return fail(ErrorKind::invalid, "unterminated quote in {}", text);
    if (in_word) words.push_back(word);
    return words;
}

Words command_of(const oci::ImageConfig& config, std::string_view text) {
    if (auto words = exec_form(text)) return *words;
    Words shell = config.shell.empty() ? Words{"/bin/sh", "-c"} : config.shell;
    shell.emplace_back(text);
    return shell;
}

/// "a=b c=d" or the old "a b".
Result<std::vector<std::pair<std::string, std::string>>> assignments(std::string_view name,
                                                                     std::string_view text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    if (!split_once(text, ' ').first.contains('=')) {
        const auto [key, value] = split_once(text, ' ');
        if (trim(value).empty())
            return fail(ErrorKind::invalid, "{} must have two arguments", name);
        pairs.emplace_back(key, trim(value));
        return pairs;
    }
    for (const auto& word : TRY(shell_words(text))) {
        const auto [key, value] = split_once(word, '=');
        if (key.empty() || !word.contains('='))
            return fail(ErrorKind::invalid,
                        "Syntax error - can't find = in \"{}\". Must be of the form: name=value",
                        word);
        pairs.emplace_back(key, value);
    }
    return pairs;
}

void set_variable(Words& environment, const std::string& key, const std::string& value) {
    const std::string entry = key + "=" + value;
    for (auto& existing : environment)
        if (split_once(existing, '=').first == key) {
            existing = entry;
            return;
        }
    environment.push_back(entry);
}

Result<void> set_environment(oci::ImageConfig& config, std::string_view text) {
    for (const auto& [key, value] : TRY(assignments("ENV", text)))
        set_variable(config.env, key, value);
    return {};
}

Result<void> set_labels(oci::ImageConfig& config, std::string_view text) {
    for (const auto& [key, value] : TRY(assignments("LABEL", text))) config.labels[key] = value;
    return {};
}

/// "80" or "80-90".
std::optional<std::pair<std::int64_t, std::int64_t>> port_range(std::string_view text) {
    const auto [from, to] = split_once(text, '-');
    const auto first = parse_integer(from, "port");
    const auto last = text.contains('-') ? parse_integer(to, "port") : first;
    if (!first || !last || *first < 1 || *last > 65535 || *first > *last) return {};
    return std::pair{*first, *last};
}

Result<void> expose(oci::ImageConfig& config, std::string_view text) {
    for (const auto& word : TRY(shell_words(text))) {
        const auto [ports, name] = split_once(word, '/');
        const std::string protocol = name.empty() ? "tcp" : to_lower(name);
        const auto range = port_range(ports);
        const bool known = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
        if (!range || !known) return fail(ErrorKind::invalid, "invalid containerPort: {}", word);
        for (auto port = range->first; port <= range->second; ++port)
            config.exposed_ports[fmt::format("{}/{}", port, protocol)] = {};
    }
    return {};
}

Result<void> add_volumes(oci::ImageConfig& config, std::string_view text) {
    for (const auto& path : exec_form(text).value_or(TRY(shell_words(text)))) {
        if (path.empty())
            return fail(ErrorKind::invalid, "VOLUME specified can not be an empty string");
        config.volumes[path] = {};
    }
    return {};
}

/// What a path means that has no links, without a slash at its end: "/a/../b/./c/" is "/b/c".
std::string clean_absolute(std::string_view path) {
    Words parts;
    for (auto& part : split(path, '/')) {
        if (part == ".." && !parts.empty()) parts.pop_back();
        if (!part.empty() && part != "." && part != "..") parts.push_back(std::move(part));
    }
    return "/" + join(parts, "/");
}

/// One that is absolute stays as it was written.
void change_directory(oci::ImageConfig& config, std::string_view text) {
    const bool absolute = text.starts_with('/');
    config.working_dir = absolute ? std::string(text)
                                  : clean_absolute(fmt::format("{}/{}", config.working_dir, text));
}

Result<void> set_stop_signal(oci::ImageConfig& config, std::string_view text) {
    TRY(parse_signal(text));
    config.stop_signal = text;
    return {};
}

constexpr std::int64_t shortest_interval = 1'000'000;  // nanoseconds

Result<std::int64_t> check_interval(std::string_view flag, std::string_view text) {
    const auto interval = TRY(parse_duration(text, flag)).count();
    if (interval != 0 && interval < shortest_interval)
        return fail(ErrorKind::invalid, "Interval \"{}\" cannot be less than 1ms", flag);
    return interval;
}

Result<std::int64_t> check_retries(std::string_view text) {
    const auto retries = TRY(parse_integer(text, "--retries"));
    if (retries < 0) return fail(ErrorKind::invalid, "--retries cannot be negative ({})", retries);
    if (retries > std::numeric_limits<std::int32_t>::max())
        return fail(ErrorKind::invalid, "--retries {} is too large", retries);
    return retries;
}

/// "--interval=5s" of a HEALTHCHECK.
Result<void> set_health_flag(oci::HealthConfig& check, std::string_view word) {
    const auto [flag, value] = split_once(word, '=');
    constexpr std::pair<std::string_view, std::int64_t oci::HealthConfig::*> intervals[] = {
        {"--interval", &oci::HealthConfig::interval},
        {"--timeout", &oci::HealthConfig::timeout},
        {"--start-period", &oci::HealthConfig::start_period},
        {"--start-interval", &oci::HealthConfig::start_interval}};
    if (value.empty()) return fail(ErrorKind::invalid, "Missing a value on flag: {}", flag);
    for (const auto& [name, member] : intervals)
        if (flag == name) {
            check.*member = TRY(check_interval(flag, value));
            return {};
        }
    if (flag != "--retries") return fail(ErrorKind::invalid, "Unknown flag: {}", flag);
    check.retries = TRY(check_retries(value));
    return {};
}

Result<void> set_healthcheck(oci::ImageConfig& config, std::string_view text) {
    oci::HealthConfig check;
    while (text.starts_with("--")) {
        const auto [word, rest] = split_once(text, ' ');
        TRY(set_health_flag(check, word));
        text = trim(rest);
    }
    const auto [kind, command] = split_once(text, ' ');
    if (to_lower(kind) == "none" && trim(command).empty()) {
        config.healthcheck = oci::HealthConfig{.test = {"NONE"}};
        return {};
    }
    if (to_lower(kind) != "cmd")
        return fail(ErrorKind::invalid, "Unknown type \"{}\" in HEALTHCHECK (try CMD)", kind);
    if (trim(command).empty())
        return fail(ErrorKind::invalid, "Missing command after HEALTHCHECK CMD");
    if (auto words = exec_form(trim(command))) {
        check.test = *words;
        check.test.insert(check.test.begin(), "CMD");
    } else {
        check.test = {"CMD-SHELL", std::string(trim(command))};
    }
    config.healthcheck = check;
    return {};
}

}  // namespace

Result<void> apply_change(oci::ImageConfig& config, std::string_view instruction) {
    const auto [word, rest] = split_once(trim(instruction), ' ');
    const std::string name = to_lower(word);
    const std::string_view text = trim(rest);
    if (text.empty()) return fail(ErrorKind::invalid, "{} requires at least one argument", word);
    if (name == "cmd")
        config.cmd = command_of(config, text);
    else if (name == "entrypoint")
        config.entrypoint = command_of(config, text);
    else if (name == "user")
        config.user = text;
    else if (name == "workdir")
        change_directory(config, text);
    else if (name == "stopsignal")
        return set_stop_signal(config, text);
    else if (name == "onbuild")
        config.on_build.emplace_back(text);
    else if (name == "env")
        return set_environment(config, text);
    else if (name == "label")
        return set_labels(config, text);
    else if (name == "expose")
        return expose(config, text);
    else if (name == "volume")
        return add_volumes(config, text);
    else if (name == "healthcheck")
        return set_healthcheck(config, text);
    else
        return fail(ErrorKind::invalid, "{} is not a valid change command", word);
    return {};
}

Result<void> apply_changes(oci::ImageConfig& config, const std::vector<std::string>& instructions) {
    for (const auto& instruction : instructions) TRY(apply_change(config, instruction));
    return {};
}

}  // namespace corten::image
