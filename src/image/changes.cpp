#include <base/text.hpp>
#include <image/changes.hpp>

#include <array>

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

Result<void> expose(oci::ImageConfig& config, std::string_view text) {
    for (const auto& word : TRY(shell_words(text))) {
        const auto [port, protocol] = split_once(word, '/');
        const auto number = parse_integer(port, "port");
        const bool known =
            protocol.empty() || protocol == "tcp" || protocol == "udp" || protocol == "sctp";
        if (!number || *number < 1 || *number > 65535 || !known)
            return fail(ErrorKind::invalid, "invalid containerPort: {}", word);
        config.exposed_ports[fmt::format("{}/{}", port, protocol.empty() ? "tcp" : protocol)] = {};
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

void change_directory(oci::ImageConfig& config, std::string_view text) {
    const std::string old = config.working_dir.empty() ? "/" : config.working_dir;
    if (text.starts_with('/'))
        config.working_dir = text;
    else
        config.working_dir = fmt::format("{}{}{}", old, old.ends_with('/') ? "" : "/", text);
}

Result<void> set_healthcheck(oci::ImageConfig& config, std::string_view text) {
    if (to_lower(text) == "none") {
        config.healthcheck = oci::HealthConfig{.test = {"NONE"}};
        return {};
    }
    const auto [kind, command] = split_once(text, ' ');
    if (to_lower(kind) != "cmd")
        return fail(ErrorKind::invalid, "Unknown type \"{}\" in HEALTHCHECK (try CMD)", kind);
    oci::HealthConfig check;
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
        config.stop_signal = text;
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
