#include "platforms.hpp"

namespace corten::api {

namespace {

Result<oci::Platform> read_platform(const std::string& text) {
    TRY(check_depth(text));
    auto platform = parse_as<oci::Platform>(text, "platform");
    if (!platform)
        return fail(ErrorKind::invalid, "failed to parse platform: {}", platform.error().message());
    if (platform->os.empty() && platform->architecture.empty() && !platform->variant.empty())
        return fail(ErrorKind::invalid,
                    "failed to parse platform: it has a variant, but no architecture");
    if (platform->os.empty() || platform->architecture.empty())
        return fail(ErrorKind::invalid,
                    "failed to parse platform: wanted both os and architecture");
    return oci::normalized(*std::move(platform));
}

}  // namespace

Result<std::vector<oci::Platform>> asked_platforms(const Call& call, ApiVersion since,
                                                   std::string_view parameter) {
    std::vector<oci::Platform> platforms;
    if (call.version < since) return platforms;
    for (const auto& text : call.request.query.all(parameter))
        if (!text.empty()) platforms.push_back(TRY(read_platform(text)));
    return platforms;
}

Result<std::optional<oci::Platform>> asked_platform(const Call& call, ApiVersion since) {
    auto platforms = TRY(asked_platforms(call, since));
    if (platforms.size() > 1)
        return fail(ErrorKind::invalid, "multiple platform parameters not supported");
    if (platforms.empty()) return std::optional<oci::Platform>();
    return std::optional(std::move(platforms.front()));
}

}  // namespace corten::api
