#include <apitypes/key_case.hpp>
#include <base/text.hpp>

namespace corten::apitypes {

Json* member_in_any_case(Json& object, std::string_view name) {
    const std::string wanted(name);
    if (const auto exact = object.find(wanted); exact != object.end()) return &*exact;
    for (auto member = object.begin(); member != object.end(); ++member) {
        if (!equals_ignoring_case(member.key(), name)) continue;
        Json value = std::move(*member);
        object.erase(member);
        return &(object[wanted] = std::move(value));
    }
    return nullptr;
}

}  // namespace corten::apitypes
