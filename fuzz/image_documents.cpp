// Manifests, indexes and configurations of images, and the names that lead to them.
#include "fuzz.hpp"

#include <image/reference.hpp>
#include <oci/image_spec.hpp>

using namespace corten;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = text_of(data, size);
    if (const auto manifest = oci::parse_manifest(text, ""))
        if (const auto* index = std::get_if<oci::Index>(&*manifest))
            (void)oci::choose_platform(*index, oci::host_platform());
    if (const auto image = oci::parse_image(text)) (void)dump_json(to_json(*image));
    const auto reference = image::Reference::parse(text);
    // What was understood must be understood again, and be the same.
    if (reference) {
        const auto again = image::Reference::parse(reference->canonical());
        if (!again || again->canonical() != reference->canonical()) __builtin_trap();
    }
    return 0;
}
