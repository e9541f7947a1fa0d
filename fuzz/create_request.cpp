// The body of POST /containers/create: reading what was written gives the same again.
#include "fuzz.hpp"

#include <apitypes/container_config.hpp>

using namespace corten;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto json = parse_json(text_of(data, size), "body");
    if (!json) return 0;
    const auto request = apitypes::create_request_from(*json);
    if (!request) return 0;
    const Json written = apitypes::to_json(*request);
    const auto again = apitypes::create_request_from(written);
    if (!again || apitypes::to_json(*again) != written) __builtin_trap();
    return 0;
}
