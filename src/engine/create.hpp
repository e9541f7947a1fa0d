#pragma once
// From a create request to a record: everything that can be refused without touching the host is
// refused here.
#include "context.hpp"

namespace corten::engine {

Result<apitypes::CreateReply> create_container(Context& context, CreateContainer request);

/// What the daemon gives to containers that say nothing themselves: log driver and limits.
Result<void> check_defaults(const Config& config);

/// Of a create or an update. invalid, with docker's texts.
Result<void> check_restart_policy(const apitypes::HostConfig& host);

}  // namespace corten::engine
