// The layers of images, packed or not: the decompressors and the tar reader.
#include "fuzz.hpp"

#include <storage/compression.hpp>
#include <storage/tar.hpp>

namespace {

using namespace corten;

constexpr std::uint64_t most_bytes = 8 << 20;  // a bomb is not what is looked for

Result<void> read_all(storage::Source& source) {
    storage::TarReader reader(source);
    std::uint64_t total = 0;
    while (const auto* entry = TRY(reader.next())) {
        if (entry->name.size() > most_bytes) break;
        for (auto piece = TRY(reader.data()); !piece.empty(); piece = TRY(reader.data()))
            if ((total += piece.size()) > most_bytes) return {};
    }
    return reader.drain();
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    storage::StringSource packed(text_of(data, size));
    if (const auto plain = storage::Decompressor::create(packed)) read_all(**plain).ignore();
    return 0;
}
