// login and logout: credentials are checked with the registry and kept, or forgotten.
#include "../credentials.hpp"
#include "../terminal.hpp"
#include "../verbs.hpp"

#include <apitypes/system.hpp>
#include <base/text.hpp>
#include <sys/file.hpp>

#include <termios.h>
#include <unistd.h>

namespace corten::cli {

namespace {

std::string server_key(const ParsedLine& line) {
    std::string server = line.arguments.empty() ? "docker.io" : line.arguments[0];
    for (const std::string_view scheme : {"https://", "http://"})
        if (server.starts_with(scheme)) server.erase(0, scheme.size());
    server = server.substr(0, server.find('/'));
    return credentials_key(server == "index.docker.io" ? "docker.io" : server);
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

Result<Credentials> ask(const FlagValues& flags) {
    Credentials out{
        .user = flags.text("username"), .password = flags.text("password"), .identity_token = {}};
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

/// The registry's word on the credentials; a token that it gives is put in the password's stead.
Result<std::string> check(Context& context, const std::string& server, Credentials& credentials) {
    const apitypes::AuthConfig body{.username = credentials.user,
                                    .password = credentials.password,
                                    .auth = {},
                                    .server_address = server,
                                    .identity_token = credentials.identity_token,
                                    .registry_token = {}};
    const Json reply = TRY(TRY(context.client())->post("/auth", {}, to_json(body)));
    const auto said = TRY(from_json<apitypes::AuthReply>(reply, "reply to the login"));
    if (!said.identity_token.empty()) credentials.identity_token = said.identity_token;
    return said.status.empty() ? "Login Succeeded" : said.status;
}

/// What is kept already, when it still holds: then nothing has to be asked.
Result<std::optional<std::string>> check_kept(Context& context, const CredentialStore& store,
                                              const std::string& server) {
    auto kept = TRY(store.find(server));
    if (!kept) return std::optional<std::string>();
    print_line("Authenticating with existing credentials...");
    auto status = check(context, server, *kept);
    if (status) return *std::move(status);
    print_error("Login did not succeed, error: " + status.error().message());
    return std::optional<std::string>();
}

}  // namespace

Result<int> verb_login(Context& context, const ParsedLine& line) {
    const std::string server = server_key(line);
    auto store = TRY(CredentialStore::open(context));
    const bool says_who = !line.flags.text("username").empty() ||
                          !line.flags.text("password").empty() || line.flags.on("password-stdin");
    if (!says_who) {
        if (const auto status = TRY(check_kept(context, store, server))) {
            print_line(*status);
            return 0;
        }
    }
    Credentials credentials = TRY(ask(line.flags));
    const std::string status = TRY(check(context, server, credentials));
    TRY(store.store(server, credentials).context("Error saving credentials"));
    print_line(status);
    return 0;
}

Result<int> verb_logout(Context& context, const ParsedLine& line) {
    const std::string server = server_key(line);
    auto store = TRY(CredentialStore::open(context));
    const bool kept = TRY(store.erase(server));
    print_line((kept ? "Removing login credentials for " : "Not logged in to ") + server);
    return 0;
}

}  // namespace corten::cli
