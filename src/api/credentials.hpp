#pragma once
#include "call.hpp"

namespace corten::api {

/// X-Registry-Auth: base64url of {username,password,serveraddress} or {identitytoken}. What cannot
/// be read counts as none, as it always did.
engine::RegistryCredentials registry_credentials(const Call& call);

}  // namespace corten::api
