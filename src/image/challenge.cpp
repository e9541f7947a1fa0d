#include <base/json.hpp>
#include <base/text.hpp>
#include <image/challenge.hpp>

namespace corten::image {

namespace {

constexpr std::string_view spaces = " \t";
// RFC 9110 5.6.2
constexpr std::string_view token_characters =
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A cursor over one header field.
class Scanner {
public:
    explicit Scanner(std::string_view text) : text_(text) {}

    bool at_end() const { return text_.empty(); }
    void skip_spaces() {
        text_.remove_prefix(std::min(text_.find_first_not_of(spaces), text_.size()));
    }
    /// Spaces and commas between elements of the list.
    void skip_separators() {
        text_.remove_prefix(std::min(text_.find_first_not_of(" \t,"), text_.size()));
    }
    bool take(char c) {
        if (!text_.starts_with(c)) return false;
        text_.remove_prefix(1);
        return true;
    }
    std::string token() {
        const std::size_t end = std::min(text_.find_first_not_of(token_characters), text_.size());
        std::string result(text_.substr(0, end));
        text_.remove_prefix(end);
        return result;
    }
    /// A token68 or token, up to a comma or space.
    std::string bare_value() {
        const std::size_t end = std::min(text_.find_first_of(" \t,"), text_.size());
        std::string result(text_.substr(0, end));
        text_.remove_prefix(end);
        return result;
    }
    /// After the opening quote; nullopt when the closing one is missing.
    std::optional<std::string> quoted() {
        std::string result;
        for (std::size_t i = 0; i < text_.size(); ++i) {
            if (text_[i] == '"') {
                text_.remove_prefix(i + 1);
                return result;
            }
            if (text_[i] == '\\' && i + 1 < text_.size()) ++i;
            result += text_[i];
        }
        return std::nullopt;
    }

private:
    std::string_view text_;
};

/// One "name=value" into `challenge`. False when what follows is not one; `name` then holds the
/// token that was read, which is the next challenge's scheme.
bool read_parameter(Scanner& in, Challenge& challenge, std::string& name) {
    name = in.token();
    in.skip_spaces();
    if (name.empty() || !in.take('=')) return false;
    in.skip_spaces();
    auto value = in.take('"') ? in.quoted() : std::optional(in.bare_value());
    if (!value) {
        name.clear();
        return false;
    }
    challenge.parameters.emplace(to_lower(name), std::move(*value));
    return true;
}

struct TokenReply {
    std::string token;
    std::string access_token;
    std::string refresh_token;
    std::int64_t expires_in = 0;

    static constexpr void fields(auto visit) {
        visit(field("token", &TokenReply::token), field("access_token", &TokenReply::access_token),
              field("refresh_token", &TokenReply::refresh_token),
              field("expires_in", &TokenReply::expires_in));
    }
};

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
    std::vector<Challenge> found;
    Scanner in(header);
    in.skip_separators();
    std::string scheme = in.token();
    while (!scheme.empty()) {
        Challenge challenge{.scheme = to_lower(scheme), .parameters = {}};
        std::string next;
        in.skip_separators();
        while (read_parameter(in, challenge, next)) {
            in.skip_separators();
            next.clear();
        }
        found.push_back(std::move(challenge));
        scheme = next;
    }
    return found;
}

std::optional<Token> parse_token(std::string_view body) {
    const auto reply = parse_as<TokenReply>(body, "token");
    if (!reply) return std::nullopt;
    Token token{.value = reply->token.empty() ? reply->access_token : reply->token,
                .refresh_token = reply->refresh_token};
    if (token.value.empty()) return std::nullopt;
    // Less than a minute is not believed: clients of the field all assume at least that.
    token.lifetime = static_cast<int>(std::clamp<std::int64_t>(reply->expires_in, 60, 86400));
    return token;
}

}  // namespace corten::image
