#pragma once
// What a container was asked to be: the body of POST /containers/create, the Config and HostConfig
// of its inspection, and the engine's own record of it. Members stand in the order in which docker
// writes them; reading and writing back keeps every member and whether it was null.
// Source: Docker Engine API 1.51 (ContainerConfig, HostConfig), recorded replies of 28.5.
#include <apitypes/common.hpp>
#include <apitypes/endpoint.hpp>
#include <apitypes/host_config.hpp>

namespace corten::apitypes {

/// Durations are nanoseconds; 0 stands for the default.
struct HealthConfig {
    Strings test;  ///< {"NONE"}, {"CMD", ...}, {"CMD-SHELL", script}; empty inherits the image's
    std::int64_t interval = 0;
    std::int64_t timeout = 0;
    std::int64_t start_period = 0;
    std::int64_t start_interval = 0;
    int retries = 0;

    static constexpr void fields(auto visit) {
        using C = HealthConfig;
        visit(omit_empty("Test", &C::test), omit_empty("Interval", &C::interval),
              omit_empty("Timeout", &C::timeout), omit_empty("StartPeriod", &C::start_period),
              omit_empty("StartInterval", &C::start_interval), omit_empty("Retries", &C::retries));
    }
};

struct ContainerConfig {
    std::string hostname;
    std::string domainname;
    std::string user;
    bool attach_stdin = false;
    bool attach_stdout = false;
    bool attach_stderr = false;
    NameSet exposed_ports;  ///< "80/tcp"; "80" is taken too
    bool tty = false;
    bool open_stdin = false;
    bool stdin_once = false;
    StringList env;  ///< "NAME=value", or "NAME" to remove it from the image's
    StrSlice cmd;    ///< null: the image's, unless an entrypoint is given
    std::optional<HealthConfig> healthcheck;
    bool args_escaped = false;
    std::string image;
    std::optional<NameSet> volumes;
    std::string working_dir;
    StrSlice entrypoint;  ///< {""} clears the image's
    bool network_disabled = false;
    std::string mac_address;  ///< moved to the endpoint by newer clients
    StringList on_build;
    StringMap labels;
    std::string stop_signal;
    std::optional<int> stop_timeout;  ///< seconds; -1 waits for ever
    StrSlice shell;

    static constexpr void fields(auto visit) {
        using C = ContainerConfig;
        visit(field("Hostname", &C::hostname), field("Domainname", &C::domainname),
              field("User", &C::user), field("AttachStdin", &C::attach_stdin),
              field("AttachStdout", &C::attach_stdout), field("AttachStderr", &C::attach_stderr),
              omit_empty("ExposedPorts", &C::exposed_ports), field("Tty", &C::tty),
              field("OpenStdin", &C::open_stdin), field("StdinOnce", &C::stdin_once),
              field("Env", &C::env), field("Cmd", &C::cmd),
              omit_empty("Healthcheck", &C::healthcheck),
              omit_empty("ArgsEscaped", &C::args_escaped), field("Image", &C::image),
              field("Volumes", &C::volumes), field("WorkingDir", &C::working_dir),
              field("Entrypoint", &C::entrypoint),
              omit_empty("NetworkDisabled", &C::network_disabled),
              omit_empty("MacAddress", &C::mac_address), field("OnBuild", &C::on_build),
              field("Labels", &C::labels), omit_empty("StopSignal", &C::stop_signal),
              omit_empty("StopTimeout", &C::stop_timeout), omit_empty("Shell", &C::shell));
    }
};

/// Body of POST /containers/create: the configuration's members with two more beside them.
struct CreateRequest : ContainerConfig {
    HostConfig host_config;
    NetworkingConfig networking_config;

    static constexpr void fields(auto visit) {
        ContainerConfig::fields(visit);
        visit(field("HostConfig", &CreateRequest::host_config),
              field("NetworkingConfig", &CreateRequest::networking_config));
    }
};

/// These are compiled once, in the library; they do what the templates of base/json.hpp do.
Json to_json(const ContainerConfig& config);
Json to_json(const HostConfig& config);
Json to_json(const NetworkingConfig& config);
Json to_json(const CreateRequest& request);
/// Errors are ErrorKind::invalid and name the member: "HostConfig.Memory: wanted a whole number".
Result<ContainerConfig> container_config_from(const Json& json);
Result<HostConfig> host_config_from(const Json& json);
Result<NetworkingConfig> networking_config_from(const Json& json);
Result<CreateRequest> create_request_from(const Json& json);
Result<UpdateRequest> update_request_from(const Json& json);

}  // namespace corten::apitypes
