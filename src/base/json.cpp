#include <base/json.hpp>

namespace corten {

Result<Json> parse_json(std::string_view text, std::string_view what) {
    try {
        return Json::parse(text);
    } catch (const nlohmann::json::exception& e) {
        return fail(ErrorKind::invalid, "invalid JSON in {}: {}", what, e.what());
    }
}

std::string dump_json(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace corten
