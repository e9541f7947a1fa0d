#pragma once
// From a create request to a record: everything that can be refused without touching the host is
// refused here.
#include "context.hpp"

namespace corten::engine {

Result<apitypes::CreateReply> create_container(Context& context, CreateContainer request);

}  // namespace corten::engine
