#pragma once
// Processes started beside a container's own. Source: Docker Engine API 1.51 and traces.
#include <apitypes/common.hpp>

#include <array>

namespace corten::apitypes {

/// Body of POST /containers/{id}/exec; the reply is an IdReply.
struct ExecCreateRequest {
    std::string user;
    bool privileged = false;
    bool tty = false;
    std::optional<std::array<unsigned, 2>> console_size;  ///< height, width
    bool attach_stdin = false;
    bool attach_stderr = false;
    bool attach_stdout = false;
    bool detach = false;
    std::string detach_keys;
    StringList env;
    std::string working_dir;
    StrSlice cmd;

    static constexpr void fields(auto visit) {
        using C = ExecCreateRequest;
        visit(field("User", &C::user), field("Privileged", &C::privileged), field("Tty", &C::tty),
              omit_empty("ConsoleSize", &C::console_size), field("AttachStdin", &C::attach_stdin),
              field("AttachStderr", &C::attach_stderr), field("AttachStdout", &C::attach_stdout),
              field("Detach", &C::detach), field("DetachKeys", &C::detach_keys),
              field("Env", &C::env), field("WorkingDir", &C::working_dir), field("Cmd", &C::cmd));
    }
};

/// Body of POST /exec/{id}/start.
struct ExecStartRequest {
    bool detach = false;
    bool tty = false;
    std::optional<std::array<unsigned, 2>> console_size;

    static constexpr void fields(auto visit) {
        using C = ExecStartRequest;
        visit(field("Detach", &C::detach), field("Tty", &C::tty),
              omit_empty("ConsoleSize", &C::console_size));
    }
};

struct ExecProcessConfig {
    bool tty = false;
    std::string entrypoint;
    Strings arguments;
    std::optional<bool> privileged;
    std::string user;

    static constexpr void fields(auto visit) {
        using C = ExecProcessConfig;
        visit(field("tty", &C::tty), field("entrypoint", &C::entrypoint),
              field("arguments", &C::arguments), omit_empty("privileged", &C::privileged),
              omit_empty("user", &C::user));
    }
};

/// Reply of GET /exec/{id}/json.
struct ExecInspect {
    std::string id;
    bool running = false;
    std::optional<int> exit_code;  ///< null until it has ended
    ExecProcessConfig process_config;
    bool open_stdin = false;
    bool open_stderr = false;
    bool open_stdout = false;
    bool can_remove = false;
    std::string container_id;
    std::string detach_keys;  ///< base64
    int pid = 0;

    static constexpr void fields(auto visit) {
        using C = ExecInspect;
        visit(field("ID", &C::id), field("Running", &C::running), field("ExitCode", &C::exit_code),
              field("ProcessConfig", &C::process_config), field("OpenStdin", &C::open_stdin),
              field("OpenStderr", &C::open_stderr), field("OpenStdout", &C::open_stdout),
              field("CanRemove", &C::can_remove), field("ContainerID", &C::container_id),
              field("DetachKeys", &C::detach_keys), field("Pid", &C::pid));
    }
};

}  // namespace corten::apitypes
