#include <apitypes/image.hpp>
#include <apitypes/system.hpp>

namespace corten::apitypes {

Result<Json> platform_parameter(std::string_view text) {
    return corten::to_json(TRY(oci::parse_platform(text)));
}

std::string platform_text(const Json& platform) {
    const auto parsed = from_json<oci::Platform>(platform);
    return parsed && !parsed->os.empty() ? oci::to_string(*parsed) : "unknown";
}

Json to_json(const ImageInspect& inspect) {
    return corten::to_json(inspect);
}
Json to_json(const Info& info) {
    return corten::to_json(info);
}
Json to_json(const DiskUsage& usage) {
    return corten::to_json(usage);
}

Result<ImageInspect> image_inspect_from(const Json& json) {
    return from_json<ImageInspect>(json);
}

}  // namespace corten::apitypes
