// login and logout: credentials in docker's config.json.
#include "../terminal.hpp"
#include "../verbs.hpp"
#include "pulling.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <termios.h>
#include <unistd.h>

namespace corten::cli {

namespace {

constexpr std::string_view hub_key = "https://index.docker.io/v1/";

std::string server_key(const ParsedLine& line) {
    if (line.arguments.empty()) return std::string(hub_key);
    std::string server = line.arguments[0];
    if (server == "docker.io" || server == "index.docker.io" || server == hub_key)
        return std::string(hub_key);
    for (const std::string_view scheme : {"https://", "http://"})
        if (server.starts_with(scheme)) server.erase(0, scheme.size());
    return server.substr(0, server.find('/'));
}

std::string read_line() {
    std::string text;
    char c = 0;
    while (::read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        if (c != '\r') text += c;
    return text;
}

/// Without showing what is typed.
std::string read_secret() {
    termios saved{};
    if (::tcgetattr(STDIN_FILENO, &saved) != 0) return read_line();
    termios silent = saved;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    std::string text = read_line();
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
    print("\n");
    return text;
}

struct Credentials {
    std::string user;
    std::string password;
};

Result<Credentials> ask(const FlagValues& flags) {
    Credentials out{flags.text("username"), flags.text("password")};
    if (flags.on("password-stdin")) {
        if (out.user.empty())
            return fail(ErrorKind::invalid, "Must provide --username with --password-stdin");
        if (!out.password.empty())
            return fail(ErrorKind::invalid,
                        "--password and --password-stdin are mutually exclusive");
        out.password = TRY(sys::read_all(standard_input(), 1 << 16));
        while (out.password.ends_with('\n') || out.password.ends_with('\r'))
            out.password.pop_back();
        return out;
    }
    if (!out.password.empty())
        print_error("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    const bool complete = !out.user.empty() && !out.password.empty();
    if (!complete && !is_terminal(standard_input()))
        return fail(ErrorKind::invalid,
                    "Error: Cannot perform an interactive login from a non TTY device");
    if (out.user.empty()) {
        print("Username: ");
        out.user = read_line();
    }
    if (out.password.empty()) {
        print("Password: ");
        out.password = read_secret();
    }
    return out;
}

}  // namespace

Result<int> verb_login(Context& context, const ParsedLine& line) {
    const std::string server = server_key(line);
    const Credentials credentials = TRY(ask(line.flags));
    const Json body = {{"username", credentials.user},
                       {"password", credentials.password},
                       {"serveraddress", server}};
    const Json reply = TRY(TRY(context.client())->post("/auth", {}, body));
    Json config = TRY(context.config());
    Json& entry = config["auths"][server];
    const std::string token = reply.value("IdentityToken", "");
    entry = {{"auth",
              base64_encode(credentials.user + ":" + (token.empty() ? credentials.password : ""))}};
    if (!token.empty()) entry["identitytoken"] = token;
    TRY(context.save_config(config));
    print_line(reply.value("Status", "Login Succeeded"));
    return 0;
}

Result<int> verb_logout(Context& context, const ParsedLine& line) {
    const std::string server = server_key(line);
    Json config = TRY(context.config());
    const auto auths = config.find("auths");
    if (auths == config.end() || !auths->is_object() || !auths->contains(server)) {
        print_line("Not logged in to " + server);
        return 0;
    }
    print_line("Removing login credentials for " + server);
    auths->erase(server);
    TRY(context.save_config(config));
    return 0;
}

}  // namespace corten::cli
