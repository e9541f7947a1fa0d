#pragma once
#include "call.hpp"

#include <apitypes/system.hpp>

namespace corten::api {

/// A password may come as `auth`, as docker's config.json keeps it.
engine::RegistryCredentials credentials_from(const apitypes::AuthConfig& auth);
/// X-Registry-Auth: base64url of an AuthConfig. What cannot be read counts as none, as it always
/// did.
engine::RegistryCredentials registry_credentials(const Call& call);

}  // namespace corten::api
