#pragma once
// Credentials for registries, where docker's command keeps them too: in config.json ("auths"), or
// with a program docker-credential-NAME that config.json names ("credHelpers" for one registry,
// "credsStore" for all). The programs' protocol:
// https://github.com/docker/docker-credential-helpers
#include "context.hpp"

namespace corten::cli {

struct Credentials {
    std::string user;
    std::string password;
    std::string identity_token;  ///< what a registry gave in a password's stead, to get tokens with
};

/// The name under which a registry's credentials are kept: its domain, but "docker.io" has kept the
/// address that it once had.
std::string credentials_key(const std::string& domain);

class CredentialStore {
public:
    static Result<CredentialStore> open(const Context& context);

    /// `server` is a credentials_key(); nullopt when nothing is kept for it.
    Result<std::optional<Credentials>> find(const std::string& server) const;
    Result<void> store(const std::string& server, const Credentials& credentials);
    /// False when nothing was kept.
    Result<bool> erase(const std::string& server);

private:
    CredentialStore(const Context& context, Json config)
        : context_(&context), config_(std::move(config)) {}
    /// The NAME of docker-credential-NAME; "" where config.json itself is the store.
    Result<std::string> helper_of(const std::string& server) const;
    /// The name of the server's entry in "auths", which may be written as an address; "" for none.
    std::string entry_of(const std::string& server) const;
    Result<bool> erase_entries(const std::string& server);

    const Context* context_;
    Json config_;
};

}  // namespace corten::cli
