#pragma once
// The keys of a request may be in any case, as Go's decoder takes them: "image" for "Image".
#include <base/json.hpp>

#include <string_view>

namespace corten::apitypes {

/// The member of that name, else the one whose name differs in case only, which has `name` then;
/// null without either.
Json* member_in_any_case(Json& object, std::string_view name);

/// Gives all keys that T's tables know the case that they have there.
template <typename T>
void match_keys(Json& json) {
    using namespace json_detail;
    if constexpr (IsOptional<T>::value) {
        match_keys<typename T::value_type>(json);
    } else if constexpr (HasJsonFields<T> && !HasJsonMethods<T>) {
        if (!json.is_object()) return;
        const auto match =
            [&]<typename Class, typename Member>(const JsonField<Class, Member>& entry) {
                if (Json* member = member_in_any_case(json, entry.name))
                    match_keys<Member>(*member);
            };
        T::fields([&](const auto&... entries) { (match(entries), ...); });
    } else if constexpr (IsVector<T>::value) {
        if (!json.is_array()) return;
        for (auto& item : json) match_keys<typename T::value_type>(item);
    } else if constexpr (IsMap<T>::value) {
        if (!json.is_object()) return;  // its own keys are the user's
        for (auto& item : json) match_keys<typename T::mapped_type>(item);
    }
}

}  // namespace corten::apitypes
