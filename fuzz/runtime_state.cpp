// state.json of a container.
#include "fuzz.hpp"
#include "store.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)corten::parse_as<corten::runtime_cli::Record>(corten::text_of(data, size), "state.json");
    return 0;
}
