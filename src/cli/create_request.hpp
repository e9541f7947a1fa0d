#pragma once
// From the flags of `run` and `create` to the body of POST /containers/create.
#include "flags.hpp"

#include <apitypes/container_config.hpp>

namespace corten::cli {

/// `line.arguments` is IMAGE [COMMAND...]. Errors are ErrorKind::invalid.
Result<apitypes::CreateRequest> make_create_request(const ParsedLine& line);

/// The limits among the flags; `update` shares them.
Result<void> fill_resources(const FlagValues& flags, apitypes::Resources& out);

}  // namespace corten::cli
