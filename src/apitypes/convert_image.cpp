#include <apitypes/image.hpp>
#include <apitypes/system.hpp>

namespace corten::apitypes {

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
