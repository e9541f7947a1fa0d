#include "session.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::image {

namespace {

constexpr std::size_t token_limit = 1 << 20;
// A token is renewed that long before its end, so that it does not end on its way.
constexpr auto token_margin = std::chrono::seconds(10);

std::vector<Challenge> challenges_of(const Exchange& answer) {
    std::vector<Challenge> all;
    for (const auto field : answer.headers().all("WWW-Authenticate"))
        for (auto& challenge : parse_challenges(field)) all.push_back(std::move(challenge));
    return all;
}

void add_query(http::Url& url, const http::Query& query) {
    url.target += (url.target.contains('?') ? '&' : '?') + query.encode();
}

}  // namespace

std::string Authorizer::header() {
    std::lock_guard lock(mutex_);
    if (std::chrono::steady_clock::now() >= expires_) header_.clear();
    if (header_.empty() && !credentials_.registry_token.empty())
        return "Bearer " + credentials_.registry_token;
    return header_;
}

std::string Authorizer::identity_token() {
    std::lock_guard lock(mutex_);
    return identity_token_;
}

Result<bool> Authorizer::learn(const Exchange& answer, const std::string& used,
                               std::optional<RequestFailure>& failure) {
    std::lock_guard lock(mutex_);
    // Another thread has learnt it meanwhile.
    if (!header_.empty() && header_ != used) return true;
    const auto challenges = challenges_of(answer);
    for (const auto& challenge : challenges)
        if (challenge.scheme == "bearer") return use_bearer(challenge, answer, failure);
    for (const auto& challenge : challenges)
        if (challenge.scheme == "basic") return use_basic(used);
    return false;
}

Result<bool> Authorizer::use_basic(const std::string& used) {
    if (credentials_.username.empty())
        return fail(ErrorKind::unauthorized, "no basic auth credentials");
    header_ = basic_authorization(credentials_.username, credentials_.password);
    return header_ != used;
}

Result<bool> Authorizer::use_bearer(const Challenge& challenge, const Exchange& answer,
                                    std::optional<RequestFailure>& failure) {
    if (!credentials_.registry_token.empty()) return false;
    const auto realm = http::parse_url(challenge.parameter("realm"));
    if (!realm)
        return fail(ErrorKind::unavailable, "the registry names no token server in its challenge");
    // A registry that is spoken to in secret must not have the password sent in the open.
    if (answer.url().scheme == "https" && realm->scheme != "https" && !credentials_.anonymous())
        return fail(ErrorKind::forbidden, "refused to send credentials to {} without TLS",
                    realm->authority());
    add_scopes(challenge);
    auto token = TRY(fetch_token(challenge, *realm, failure));
    header_ = "Bearer " + token.value;
    expires_ =
        std::chrono::steady_clock::now() + std::chrono::seconds(token.lifetime) - token_margin;
    if (!token.refresh_token.empty()) identity_token_ = token.refresh_token;
    return true;
}

void Authorizer::add_scopes(const Challenge& challenge) {
    std::string named = challenge.parameter("scope");
    if (named.empty()) named = scope_;
    for (auto& scope : split(named, ' '))
        if (!scope.empty() && std::ranges::find(scopes_, scope) == scopes_.end())
            scopes_.push_back(std::move(scope));
}

http::ClientRequest Authorizer::token_request(const Challenge& challenge, http::Url& realm) const {
    http::Query query;
    if (const std::string service = challenge.parameter("service"); !service.empty())
        query.add("service", service);
    http::ClientRequest request;
    if (!credentials_.identity_token.empty()) {  // OAuth 2.0 (RFC 6749 6)
        if (!scopes_.empty()) query.add("scope", join(scopes_, " "));
        query.add("client_id", "docker");
        query.add("grant_type", "refresh_token");
        query.add("refresh_token", credentials_.identity_token);
        request.method = "POST";
        request.headers.set("Content-Type", "application/x-www-form-urlencoded");
        request.body = query.encode();
    } else {
        for (const std::string& scope : scopes_) query.add("scope", scope);
        if (!credentials_.username.empty()) {
            query.add("account", credentials_.username);
            request.headers.set("Authorization",
                                basic_authorization(credentials_.username, credentials_.password));
        }
        if (offline_) {
            query.add("offline_token", "true");
            query.add("client_id", "docker");
        }
        if (!query.empty()) add_query(realm, query);
    }
    request.target = realm.target;
    return request;
}

Result<Token> Authorizer::fetch_token(const Challenge& challenge, const http::Url& realm,
                                      std::optional<RequestFailure>& failure) {
    http::Url url = realm;
    const http::ClientRequest request = token_request(challenge, url);
    const auto server = fmt::format("token server {}", url.authority());
    auto answer = transport_.send(url, request, failure);
    if (!answer) return Error(failure->error).context(server);
    const auto wait = transport_.asked_wait(*answer);
    if (answer->status() != 200) {
        Error refused = plain_error(read_refusal(*answer));
        if (is_passing(answer->status())) failure = {Stage::exchange, refused, wait};
        return refused;
    }
    const auto body = answer->read_all(token_limit);
    if (!body) {
        failure = {Stage::exchange, body.error(), {}};
        return Error(body.error()).context(server);
    }
    auto token = parse_token(*body);
    if (!token)
        return fail(ErrorKind::unavailable, "token server {} sent no token", url.authority());
    return *std::move(token);
}

}  // namespace corten::image
