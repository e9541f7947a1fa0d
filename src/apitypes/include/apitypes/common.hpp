#pragma once
// What several parts of the Docker API share. The API tells null, [] and {} apart where it echoes
// what a client sent; such members are optionals here, and items() reads them without a branch.
#include <base/json.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace corten::apitypes {

using Strings = std::vector<std::string>;
/// A list that may be null on the wire.
using StringList = std::optional<Strings>;
using StringMap = std::map<std::string, std::string>;
/// A map that may be null on the wire.
using OptionalStringMap = std::optional<StringMap>;

/// The items of a list or map that may be null; an empty one stands in for null.
template <typename Container>
const Container& items(const std::optional<Container>& list) {
    static const Container none;
    return list ? *list : none;
}

/// The value of a set's key: {"80/tcp": {}}.
struct EmptyObject {
    static constexpr void fields(auto visit) { visit(); }
    bool operator==(const EmptyObject&) const = default;
};
using NameSet = std::map<std::string, EmptyObject>;

/// Cmd and Entrypoint: a list of strings, one string (a list of one), or null. Written as a list.
struct StrSlice {
    StringList list;

    bool has_value() const { return list.has_value(); }
    bool empty() const { return !list || list->empty(); }
    const Strings& values() const { return items(list); }

    Json write_json() const { return to_json(list); }
    Result<void> read_json(const Json& json, std::string_view path);
    bool operator==(const StrSlice&) const = default;
};

/// Every error reply.
struct ErrorReply {
    std::string message;
    static constexpr void fields(auto visit) { visit(field("message", &ErrorReply::message)); }
};

/// Replies of one id: exec create, commit.
struct IdReply {
    std::string id;
    static constexpr void fields(auto visit) { visit(field("Id", &IdReply::id)); }
};

}  // namespace corten::apitypes
