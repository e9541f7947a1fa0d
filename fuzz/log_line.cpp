// A line of a container's log, which others may have written.
#include "fuzz.hpp"

#include <logfile/codec.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    corten::logfile::Decoder decoder;
    corten::logfile::Entry entry;
    decoder.decode(corten::text_of(data, size), entry).ignore();
    return 0;
}
