#include "image_defaults.hpp"

#include <base/text.hpp>

#include <set>

namespace corten::engine {

namespace {

/// The user's variables, then the image's of other names; "NAME" alone removes one.
apitypes::StringList merge_environment(const std::vector<std::string>& image,
                                       const apitypes::StringList& user) {
    std::vector<std::string> merged;
    std::set<std::string_view> decided;
    for (const auto& entry : apitypes::items(user)) {
        decided.insert(split_once(entry, '=').first);
        if (entry.find('=') != std::string::npos) merged.push_back(entry);
    }
    for (const auto& entry : image)
        if (!decided.contains(split_once(entry, '=').first)) merged.push_back(entry);
    if (merged.empty() && !user) return {};
    return merged;
}

void merge_command(apitypes::ContainerConfig& config, const oci::ImageConfig& image) {
    if (!config.entrypoint.empty()) return;  // an entrypoint of the user's drops the image's cmd
    if (config.cmd.empty()) config.cmd.list = image.cmd;
    if (!config.entrypoint.has_value()) config.entrypoint.list = image.entrypoint;
}

void merge_health_check(apitypes::ContainerConfig& config, const oci::ImageConfig& image) {
    if (!image.healthcheck) return;
    const auto& theirs = *image.healthcheck;
    auto& ours = config.healthcheck;
    if (!ours) ours.emplace();
    if (ours->test.empty()) ours->test = theirs.test;
    if (ours->interval == 0) ours->interval = theirs.interval;
    if (ours->timeout == 0) ours->timeout = theirs.timeout;
    if (ours->start_period == 0) ours->start_period = theirs.start_period;
    if (ours->start_interval == 0) ours->start_interval = theirs.start_interval;
    if (ours->retries == 0) ours->retries = static_cast<int>(theirs.retries);
}

}  // namespace

void apply_image_defaults(apitypes::ContainerConfig& config, const oci::ImageConfig& image) {
    config.env = merge_environment(image.env, config.env);
    merge_command(config, image);
    merge_health_check(config, image);
    for (const auto& [port, unused] : image.exposed_ports) config.exposed_ports[port];
    if (!image.volumes.empty() && !config.volumes) config.volumes.emplace();
    for (const auto& [path, unused] : image.volumes) (*config.volumes)[path];
    for (const auto& [name, value] : image.labels) config.labels.emplace(name, value);
    if (config.user.empty()) config.user = image.user;
    if (config.working_dir.empty()) config.working_dir = image.working_dir;
    if (config.stop_signal.empty()) config.stop_signal = image.stop_signal;
    if (!config.stop_timeout && image.stop_timeout)
        config.stop_timeout = static_cast<int>(*image.stop_timeout);
    if (!config.shell.has_value() && !image.shell.empty()) config.shell.list = image.shell;
}

oci::ImageConfig image_config_of(const apitypes::ContainerConfig& config) {
    oci::ImageConfig image{.hostname = config.hostname,
                           .domainname = config.domainname,
                           .user = config.user,
                           .env = apitypes::items(config.env),
                           .entrypoint = config.entrypoint.list,
                           .cmd = config.cmd.list,
                           .args_escaped = config.args_escaped,
                           .working_dir = config.working_dir,
                           .on_build = apitypes::items(config.on_build),
                           .labels = config.labels,
                           .stop_signal = config.stop_signal,
                           .shell = config.shell.values()};
    for (const auto& [port, unused] : config.exposed_ports) image.exposed_ports[port];
    if (config.volumes)
        for (const auto& [path, unused] : *config.volumes) image.volumes[path];
    if (config.stop_timeout) image.stop_timeout = *config.stop_timeout;
    if (const auto& check = config.healthcheck)
        image.healthcheck = oci::HealthConfig{.test = check->test,
                                              .interval = check->interval,
                                              .timeout = check->timeout,
                                              .start_period = check->start_period,
                                              .start_interval = check->start_interval,
                                              .retries = check->retries};
    return image;
}

Result<Command> command_of(const apitypes::ContainerConfig& config) {
    std::vector<std::string> words = config.entrypoint.values();
    if (words.size() == 1 && words[0].empty()) words.clear();  // --entrypoint "" clears it
    words.insert(words.end(), config.cmd.values().begin(), config.cmd.values().end());
    if (words.empty()) return fail(ErrorKind::invalid, "no command specified");
    Command command{.path = words.front(), .args = {}};
    command.args.assign(words.begin() + 1, words.end());
    return command;
}

}  // namespace corten::engine
