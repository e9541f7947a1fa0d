#include "credentials.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>

#include <unistd.h>

#include <cstdlib>

namespace corten::cli {

namespace {

constexpr std::string_view hub_key = "https://index.docker.io/v1/";
/// What a helper prints, with exit code 1, when it keeps nothing for a server.
constexpr std::string_view nothing_kept = "credentials not found in native keychain";
/// The user's name that marks a secret as an identity token.
constexpr std::string_view token_user = "<token>";
constexpr std::size_t longest_reply = 1 << 20;

/// A server in "auths".
struct Entry {
    std::string auth;  ///< base64 of user:password
    std::string identity_token;

    static constexpr void fields(auto visit) {
        visit(omit_empty("auth", &Entry::auth),
              omit_empty("identitytoken", &Entry::identity_token));
    }
};

/// What a helper reads for `store` and prints for `get`.
struct HelperRecord {
    std::string server;
    std::string user;
    std::string secret;

    static constexpr void fields(auto visit) {
        visit(field("ServerURL", &HelperRecord::server), field("Username", &HelperRecord::user),
              field("Secret", &HelperRecord::secret));
    }
};

std::string host_of(std::string_view server) {
    if (const auto mark = server.find("://"); mark != server.npos) server.remove_prefix(mark + 3);
    return std::string(split_once(server, '/').first);
}

Result<std::string> find_in_path(const std::string& program) {
    const char* path = std::getenv("PATH");
    for (const auto& folder : split(path ? path : "", ':')) {
        std::string file = std::string(folder) + "/" + program;
        if (!folder.empty() && ::access(file.c_str(), X_OK) == 0) return file;
    }
    return fail(ErrorKind::unavailable,
                "{} is not in the PATH, but config.json names it as the store of credentials",
                program);
}

std::vector<std::string> environment() {
    std::vector<std::string> variables;
    for (char** each = environ; each && *each; ++each) variables.emplace_back(*each);
    return variables;
}

/// Runs docker-credential-NAME with one word of its protocol. It gets `input` on its standard input
/// and our standard error; returns what it printed. A failure is an error with what it printed.
Result<std::string> ask_helper(const std::string& name, const std::string& word,
                               std::string_view input) {
    const std::string program = "docker-credential-" + name;
    // A file and not a pipe: a helper that does not read must not stop us.
    const Fd question = TRY(sys::memory_file("credentials"));
    TRY(sys::write_all(question, input));
    if (::lseek(question.raw(), 0, SEEK_SET) < 0) return fail_errno("{}: its input", program);
    auto [output, end] = TRY(sys::pipe());
    auto child = TRY(sys::spawn({.program = TRY(find_in_path(program)),
                                 .arguments = {word},
                                 .environment = environment(),
                                 .fds = {{question, 0}, {end, 1}, {FdView(STDERR_FILENO), 2}},
                                 .argv0 = program})
                         .context(program));
    end.reset();
    std::string reply(trim(TRY(sys::read_all(output, longest_reply).context(program))));
    const auto status = TRY(child.wait());
    if (status.code != 0)
        return fail(reply == nothing_kept ? ErrorKind::not_found : ErrorKind::unavailable,
                    "{} {} failed with status {}: {}", program, word, status.code, reply);
    return reply;
}

Result<std::optional<Credentials>> get_from_helper(const std::string& name,
                                                   const std::string& server) {
    const auto reply = ask_helper(name, "get", server);
    if (!reply && reply.error().kind() == ErrorKind::not_found) return std::optional<Credentials>();
    const auto record =
        TRY(parse_as<HelperRecord>(TRY(reply), "reply of docker-credential-" + name));
    if (record.user == token_user)
        return Credentials{.user = {}, .password = {}, .identity_token = record.secret};
    return Credentials{.user = record.user, .password = record.secret, .identity_token = {}};
}

Result<void> store_with_helper(const std::string& name, const std::string& server,
                               const Credentials& credentials) {
    const bool token = !credentials.identity_token.empty();
    const HelperRecord record{.server = server,
                              .user = token ? std::string(token_user) : credentials.user,
                              .secret = token ? credentials.identity_token : credentials.password};
    TRY(ask_helper(name, "store", dump_json(to_json(record))));
    return {};
}

/// A member of config.json that holds others; an empty object when it is not there.
Result<Json> object_member(const Json& config, const char* name) {
    const auto found = config.find(name);
    if (found == config.end() || found->is_null()) return Json::object();
    if (!found->is_object())
        return fail(ErrorKind::invalid, "config.json: {}: wanted object, found {}", name,
                    found->type_name());
    return *found;
}

}  // namespace

std::string credentials_key(const std::string& domain) {
    return domain == "docker.io" ? std::string(hub_key) : domain;
}

Result<CredentialStore> CredentialStore::open(const Context& context) {
    Json config = TRY(context.config());
    if (!config.is_object())
        return fail(ErrorKind::invalid, "config.json: wanted object, found {}", config.type_name());
    config["auths"] = TRY(object_member(config, "auths"));
    return CredentialStore(context, std::move(config));
}

Result<std::string> CredentialStore::helper_of(const std::string& server) const {
    const Json own = TRY(object_member(config_, "credHelpers"));
    const Json& source = own.contains(server) ? own : config_;
    const std::string member = own.contains(server) ? server : "credsStore";
    if (!source.contains(member)) return "";
    auto name = TRY(from_json<std::string>(source[member], "config.json: " + member));
    if (name.contains('/'))
        return fail(ErrorKind::invalid, "config.json: {}: {} is a path, not a name", member, name);
    return name;
}

std::string CredentialStore::entry_of(const std::string& server) const {
    const Json& auths = config_["auths"];
    if (auths.contains(server)) return server;
    for (const auto& [name, entry] : auths.items())
        if (host_of(name) == host_of(server)) return name;
    return "";
}

Result<std::optional<Credentials>> CredentialStore::find(const std::string& server) const {
    if (const std::string helper = TRY(helper_of(server)); !helper.empty())
        return get_from_helper(helper, server);
    const std::string name = entry_of(server);
    if (name.empty()) return std::optional<Credentials>();
    const auto entry = TRY(from_json<Entry>(config_["auths"][name], "config.json: auths." + name));
    const std::string pair = TRY(base64_decode(entry.auth).context("config.json: auths." + name));
    const auto [user, password] = split_once(pair, ':');
    if (user.empty() && entry.identity_token.empty()) return std::optional<Credentials>();
    return Credentials{.user = std::string(user),
                       .password = std::string(password),
                       .identity_token = entry.identity_token};
}

Result<void> CredentialStore::store(const std::string& server, const Credentials& credentials) {
    Entry entry;
    const std::string helper = TRY(helper_of(server));
    if (helper.empty()) {
        const bool token = !credentials.identity_token.empty();
        entry.auth = base64_encode(credentials.user + ":" + (token ? "" : credentials.password));
        entry.identity_token = credentials.identity_token;
    } else {
        TRY(store_with_helper(helper, server, credentials));
    }
    // With a helper the entry is empty: docker's command lists there what it has logged in to.
    config_["auths"][server] = to_json(entry);
    auto saved = context_->save_config(config_);
    if (!saved && !helper.empty()) ask_helper(helper, "erase", server).ignore();
    return saved;
}

Result<bool> CredentialStore::erase(const std::string& server) {
    const std::string helper = TRY(helper_of(server));
    if (helper.empty()) return erase_entries(server);
    const bool kept = TRY(get_from_helper(helper, server)).has_value();
    if (kept) TRY(ask_helper(helper, "erase", server));
    return TRY(erase_entries(server)) || kept;
}

Result<bool> CredentialStore::erase_entries(const std::string& server) {
    bool any = false;
    for (std::string name = entry_of(server); !name.empty(); name = entry_of(server)) {
        config_["auths"].erase(name);
        any = true;
    }
    if (any) TRY(context_->save_config(config_));
    return any;
}

}  // namespace corten::cli
