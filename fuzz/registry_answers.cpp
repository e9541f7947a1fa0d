// What a registry says about itself: its challenges, tokens and refusals.
#include "fuzz.hpp"

#include <image/challenge.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = corten::text_of(data, size);
    (void)corten::image::parse_challenges(text);
    (void)corten::image::parse_token(text);
    return 0;
}
