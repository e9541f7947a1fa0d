#include "refusal.hpp"

#include <base/json.hpp>
#include <base/text.hpp>
#include <image/challenge.hpp>

namespace corten::image {

namespace {

constexpr std::size_t refusal_limit = 64 << 10;

struct ErrorItem {
    std::string code;
    std::string message;
    static constexpr void fields(auto visit) {
        visit(field("code", &ErrorItem::code), field("message", &ErrorItem::message));
    }
};

struct ErrorBody {
    std::vector<ErrorItem> errors;
    std::string details;
    static constexpr void fields(auto visit) {
        visit(field("errors", &ErrorBody::errors), field("details", &ErrorBody::details));
    }
};

/// What a code means when nothing else is said (distribution spec).
std::string_view standard_message(std::string_view code) {
    if (code == "UNAUTHORIZED") return "authentication required";
    if (code == "DENIED") return "requested access to the resource is denied";
    if (code == "MANIFEST_UNKNOWN") return "manifest unknown";
    if (code == "NAME_UNKNOWN") return "repository name not known to registry";
    if (code == "TOOMANYREQUESTS") return "too many requests";
    return "unknown error";
}

void apply_oauth_error(Refusal& refusal, std::string_view field) {
    for (const auto& challenge : parse_challenges(field)) {
        const std::string error = challenge.parameter("error");
        if (challenge.scheme != "bearer" || error.empty()) continue;
        if (error == "invalid_token")
            refusal.code = "UNAUTHORIZED";
        else if (error == "insufficient_scope")
            refusal.code = "DENIED";
        else
            continue;
        refusal.message = challenge.parameter("error_description");
        if (refusal.message.empty()) refusal.message = standard_message(refusal.code);
        return;
    }
}

/// The start of a body for an error message, without anything a terminal would obey.
std::string excerpt(std::string_view body) {
    std::string text(body.substr(0, 200));
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return std::string(trim(text));
}

std::string printable(std::string text) {
    std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    return text;
}

void apply_body(Refusal& refusal, std::string_view body) {
    const auto parsed = parse_as<ErrorBody>(body, "error");
    if (parsed && !parsed->errors.empty()) {
        refusal.code = printable(parsed->errors[0].code);
        refusal.message = printable(parsed->errors[0].message);
        if (refusal.message.empty()) refusal.message = standard_message(refusal.code);
    } else if (parsed && !parsed->details.empty()) {
        refusal.code = refusal.status == 401 ? "UNAUTHORIZED" : "UNKNOWN";
        refusal.message = printable(parsed->details);
    } else if (refusal.status == 401) {
        refusal.code = "UNAUTHORIZED";
        refusal.message = standard_message(refusal.code);
    } else {
        refusal.message = excerpt(body);
    }
}

ErrorKind kind_of(const Refusal& refusal) {
    if (refusal.code == "UNAUTHORIZED" || refusal.status == 401) return ErrorKind::unauthorized;
    if (refusal.code == "DENIED" || refusal.status == 403) return ErrorKind::forbidden;
    if (refusal.status == 404) return ErrorKind::not_found;
    return ErrorKind::unavailable;
}

}  // namespace

Refusal parse_refusal(int status, std::string_view status_line, std::string_view body,
                      std::string_view challenge) {
    Refusal refusal{.status = status, .status_line = std::string(status_line)};
    if (status < 500) apply_oauth_error(refusal, challenge);
    if (refusal.code.empty()) apply_body(refusal, body);
    return refusal;
}

Refusal read_refusal(Exchange& answer) {
    // An error page that cannot be read is no reason to hide the status.
    auto body = answer.read_all(refusal_limit);
    return parse_refusal(answer.status(), answer.status_line(), body ? *body : std::string(),
                         answer.headers().get_or("WWW-Authenticate", ""));
}

std::string describe(const Refusal& refusal) {
    if (!refusal.code.empty()) {
        std::string code = to_lower(refusal.code);
        std::ranges::replace(code, '_', ' ');
        return fmt::format("{}: {}", code, refusal.message);
    }
    if (refusal.status >= 500 || refusal.message.empty())
        return "received unexpected HTTP status: " + refusal.status_line;
    return fmt::format("error parsing HTTP {} response body: \"{}\"", refusal.status,
                       refusal.message);
}

Error plain_error(const Refusal& refusal) {
    return Error(kind_of(refusal), describe(refusal));
}

Error pull_error(const Refusal& refusal, const Reference& reference) {
    const std::string text = describe(refusal);
    if (refusal.code == "DENIED")
        return fail(ErrorKind::not_found,
                    "pull access denied for {}, repository does not exist or may require "
                    "'docker login': {}",
                    reference.familiar_name(), text);
    if (refusal.code == "NAME_UNKNOWN")
        return fail(ErrorKind::not_found, "repository {} not found: {}", reference.familiar_name(),
                    text);
    if (refusal.code == "MANIFEST_UNKNOWN" || refusal.status == 404)
        return fail(ErrorKind::not_found, "manifest for {} not found: {}", reference.familiar(),
                    text);
    return plain_error(refusal);
}

}  // namespace corten::image
