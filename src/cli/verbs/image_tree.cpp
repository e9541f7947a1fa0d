#include "../table.hpp"
#include "rows.hpp"

#include <apitypes/image.hpp>
#include <base/units.hpp>

namespace corten::cli {

namespace {

std::string size_of(std::int64_t bytes) {
    return human_size(static_cast<double>(bytes), 3);
}

std::string row(const std::string& name, std::string_view id, const std::string& usage,
                const std::string& content, bool used) {
    return fmt::format("{}\t{}\t{}\t{}\t{}\n", name, id, usage, content, used ? "yes" : "");
}

Json member(const Json& object, const char* name, const Json& otherwise) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? otherwise : *found;
}

std::string platform_name(const Json& manifest) {
    const auto data = member(manifest, "ImageData", Json::object());
    return apitypes::platform_text(member(data, "Platform", Json::object()));
}

std::string platform_row(const Json& manifest, bool last) {
    const std::string name = (last ? "└─ " : "├─ ") + platform_name(manifest);
    const std::string id = short_image_id(manifest.value("ID", ""));
    if (!manifest.value("Available", false)) return row(name, id, "not here", "", false);
    const auto size = member(manifest, "Size", Json::object());
    const auto data = member(manifest, "ImageData", Json::object());
    return row(name, id, size_of(size.value("Total", std::int64_t{0})),
               size_of(size.value("Content", std::int64_t{0})),
               !member(data, "Containers", Json::array()).empty());
}

std::string image_rows_of(const Json& image) {
    std::vector<Json> platforms;
    std::int64_t content = 0;
    for (const Json& manifest : member(image, "Manifests", Json::array()))
        if (manifest.value("Kind", "") == "image") {
            content += member(manifest, "Size", Json::object()).value("Content", std::int64_t{0});
            platforms.push_back(manifest);
        }
    auto names = member(image, "RepoTags", Json::array());
    if (names.empty()) names = Json::array({"<untagged>"});
    std::string text;
    for (const Json& name : names)
        text += row(name.get<std::string>(), short_image_id(image.value("Id", "")),
                    size_of(image.value("Size", std::int64_t{0})), size_of(content),
                    image.value("Containers", std::int64_t{0}) > 0);
    for (const Json& platform : platforms)
        text += platform_row(platform, &platform == &platforms.back());
    return text;
}

}  // namespace

std::string image_tree(const Json& images) {
    std::string text = "IMAGE\tID\tDISK USAGE\tCONTENT SIZE\tUSED\n";
    for (const Json& image : images) text += image_rows_of(image);
    return align_columns(text);
}

}  // namespace corten::cli
