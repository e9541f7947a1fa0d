// Layers into EROFS images: what an archive says about names, links, whiteouts and sparse files.
#include "fuzz.hpp"

#include <storage/compression.hpp>
#include <sys/file.hpp>

#include <erofs_target.hpp>
#include <unistd.h>
#include <unpack.hpp>

#include <cstdlib>

namespace {

using namespace corten;

Result<storage::UnpackResult> unpack(std::string_view archive, FdView image) {
    const auto record =
        TRY(storage::RecordWriter::create(TRY(sys::memory_file("record")), 8 << 20));
    storage::UnpackPolicy policy;
    policy.whiteouts = storage::Whiteouts::overlay;
    policy.limits = {.bytes = 8 << 20, .entries = 10'000};
    policy.record = record.get();
    storage::StringSource source(archive);
    storage::TarReader reader(source, record.get());
    storage::ErofsTarget target(image);
    return storage::unpack_into(target, reader, policy);
}

bool has_superblock(FdView image) {
    storage::erofs::SuperBlock super;
    const auto offset = static_cast<off_t>(storage::erofs::super_offset);
    return ::pread(image.raw(), &super, sizeof super, offset) == sizeof super &&
           super.magic_number == storage::erofs::magic;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto image = sys::memory_file("image");
    if (!image) std::abort();
    const auto unpacked = unpack(text_of(data, size), *image);
    // A layer that was refused must not look like one.
    if (unpacked.has_value() != has_superblock(*image)) std::abort();
    return 0;
}
