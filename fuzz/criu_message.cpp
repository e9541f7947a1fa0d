// An answer of criu, as deep as a restore looks into it.
#include "criu_message.hpp"

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto answer = corten::runtime_cli::MessageReader::parse(corten::text_of(data, size));
    if (!answer) return 0;
    for (int field = 0; field < 12; ++field) {
        (void)answer->number(field);
        const auto inner = answer->message(field);
        if (inner) (void)inner->text(1);
    }
    return 0;
}
