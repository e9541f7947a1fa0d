#include <apitypes/common.hpp>

namespace corten::apitypes {

Result<void> StrSlice::read_json(const Json& json, std::string_view path) {
    if (json.is_string()) {
        list = Strings{json.get<std::string>()};
        return {};
    }
    if (!json.is_array())
        return fail(ErrorKind::invalid, "{}: wanted a string or a list of strings, found {}", path,
                    json.type_name());
    return corten::read_json(json, list, path);
}

}  // namespace corten::apitypes
