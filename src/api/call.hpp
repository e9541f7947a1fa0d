#pragma once
// One request as a route sees it.
#include "version.hpp"

#include <apitypes/common.hpp>
#include <apitypes/key_case.hpp>
#include <base/clock.hpp>
#include <engine/engine.hpp>
#include <http/server.hpp>

#include <optional>
#include <string>
#include <vector>

namespace corten::api {

class Call {
public:
    http::Request& request;
    http::ResponseWriter& answer;
    engine::Engine& engine;
    ApiVersion version;
    std::vector<std::string> parameters = {};  ///< what stood for the {} of the pattern

    const std::string& name() const { return parameters.front(); }

    bool flag(std::string_view key) const;
    std::string text(std::string_view key) const;
    /// nullopt when it is missing or empty; what is no whole number is an error.
    Result<std::optional<std::int64_t>> integer(std::string_view key) const;
    /// Unix seconds with a fraction; nullopt when it is missing, empty or 0.
    Result<std::optional<WallTime>> time(std::string_view key) const;
    Result<engine::Filters> filters() const;

    /// The body as JSON, nullopt when there is none.
    Result<std::optional<Json>> json_body() const;
    /// The body as a T; a missing body gives a T{}.
    template <typename T>
    Result<T> body_as() const {
        auto json = TRY(json_body());
        if (!json) return T{};
        apitypes::match_keys<T>(*json);
        return from_json<T>(*json);
    }

    Result<void> reply_json(int status, const Json& json) const;
    template <typename T>
    Result<void> reply(int status, const T& value) const {
        return reply_json(status, to_json(value));
    }
    Result<void> reply_empty(int status) const;

    /// Readable once the client is gone.
    Result<FdView> gone() const { return answer.gone_fd(); }
};

/// Refuses JSON that is nested deeper than any API object, before it is parsed: everything behind
/// the parser may then recurse.
Result<void> check_depth(std::string_view json);

}  // namespace corten::api
