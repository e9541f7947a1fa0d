#include "session.hpp"

#include <base/json.hpp>
#include <base/text.hpp>
#include <storage/digest.hpp>

namespace corten::image {

namespace {

constexpr int most_redirects = 10;
constexpr int most_challenges = 2;
/// Bytes of an answer that is read only to be done with it.
constexpr std::size_t short_body = 64 << 10;
constexpr auto longest_pause = std::chrono::seconds(30);
constexpr std::string_view user_agent = "corten/0.1 (linux)";

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

http::ClientRequest to_request(const Call& call, const http::Url& url) {
    http::ClientRequest request{.method = call.method,
                                .target = url.target,
                                .headers = call.headers,
                                .body = call.body,
                                .producer = call.producer,
                                .length = call.length};
    request.headers.set("User-Agent", std::string(user_agent));
    return request;
}

/// Go's words for what went wrong while connecting.
std::string dial_error(const Error& error, const http::Url& url) {
    if (error.number() == 0) return error.message();
    const std::size_t colon = error.message().rfind(": ");
    const std::string reason =
        colon == std::string::npos ? error.message() : error.message().substr(colon + 2);
    return fmt::format("dial tcp {}:{}: connect: {}", url.host, url.port, to_lower(reason));
}

constexpr std::size_t most_pages = 10'000;
constexpr std::size_t most_warnings = 16;
constexpr std::size_t longest_warning = 256;

/// The text of `299 - "text"` (RFC 7234 5.5), the only form that a registry may send.
std::optional<std::string> warning_text(std::string_view field) {
    constexpr std::string_view start = "299 - \"";
    field = trim(field);
    if (!field.starts_with(start) || !field.ends_with('"') || field.size() <= start.size())
        return {};
    std::string text;
    bool escaped = false;
    for (const char c : field.substr(start.size(), field.size() - start.size() - 1)) {
        escaped = !escaped && c == '\\';
        if (escaped) continue;
        // It is shown on a terminal.
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) text += c;
    }
    return text.substr(0, longest_warning);
}

/// Where the link that has its target before `at` ends: at a comma that stands in no quotes.
std::size_t end_of_link(std::string_view field, std::size_t at) {
    bool quoted = false;
    while (at < field.size() && (quoted || field[at] != ',')) quoted ^= field[at++] == '"';
    return at;
}

/// The target of `<target>; rel="next"` (RFC 8288) in a Link field.
std::string_view next_link(std::string_view field) {
    while (true) {
        const auto open = field.find('<');
        const auto close = field.find('>', open);
        if (open == field.npos || close == field.npos) return {};
        const auto end = end_of_link(field, close);
        const auto parameters = field.substr(close, end - close);
        if (parameters.contains("rel=\"next\"") || parameters.contains("rel=next"))
            return field.substr(open + 1, close - open - 1);
        field.remove_prefix(end);
    }
}

struct TagList {
    std::vector<std::string> tags;
    static constexpr void fields(auto visit) { visit(field("tags", &TagList::tags)); }
};

}  // namespace

Session::Session(Transport& transport, Endpoint endpoint, Reference repository,
                 const Credentials& credentials, std::string_view actions)
    : transport_(transport),
      endpoint_(std::move(endpoint)),
      repository_(std::move(repository)),
      // What a mirror is told must not help it to act as the user elsewhere.
      authorizer_(transport, endpoint_.mirror ? Credentials{} : credentials,
                  endpoint_.path.empty()
                      ? std::string()
                      : fmt::format("repository:{}:{}", endpoint_.path, actions)) {
    if (const auto own = http::parse_url(endpoint_.base()))
        transport_.set_verified(own->authority(), endpoint_.verify);
}

bool Session::gives_way_after(const Error& error) const {
    if (error.kind() == ErrorKind::cancelled) return false;
    return endpoint_.mirror || (error.kind() == ErrorKind::unavailable && !reached_);
}

std::string Session::path(std::string_view rest) const {
    return fmt::format("/v2/{}/{}", endpoint_.path, rest);
}

Result<http::Url> Session::url_of(const Call& call) const {
    return http::parse_url(call.target.starts_with('/') ? endpoint_.base() + call.target
                                                        : call.target);
}

bool Session::is_own(const http::Url& url) const {
    const auto own = http::parse_url(endpoint_.base());
    return own && own->scheme == url.scheme && own->authority() == url.authority();
}

Error Session::transport_error(const Call& call, const RequestFailure& failure) const {
    if (failure.error.kind() == ErrorKind::cancelled) return failure.error;
    const auto url = url_of(call);
    const bool early = failure.stage == Stage::connect || !url;
    const std::string shown = early ? endpoint_.base() + "/v2/" : http::to_string(*url);
    const std::string reason =
        early && url ? dial_error(failure.error, *url) : failure.error.message();
    return fail(ErrorKind::unavailable, "{} \"{}\": {}", verb_of(call.method), shown, reason);
}

Result<Exchange> Session::send_authorized(const Call& call, const http::Url& url,
                                          std::optional<RequestFailure>& failure) {
    for (int round = 0;; ++round) {
        http::ClientRequest request = to_request(call, url);
        const std::string authorization = is_own(url) ? authorizer_.header() : std::string();
        if (!authorization.empty()) request.headers.set("Authorization", authorization);
        auto answer = transport_.send(url, request, failure);
        if (answer || failure->stage == Stage::exchange) reached_ = true;
        if (!answer) return transport_error(call, *failure);
        const bool may_learn = answer->status() == 401 && is_own(url);
        if (!may_learn || round == most_challenges) return *std::move(answer);
        auto learnt = authorizer_.learn(*answer, authorization, failure);
        if (!learnt)
            return std::move(learnt).error().context(
                fmt::format("{} \"{}\"", verb_of(call.method), http::to_string(url)));
        // What its producer gave cannot be sent again; whoever calls has it made anew.
        if (!*learnt || call.producer) return *std::move(answer);
        // Read, so that the connection can be used again.
        answer->read_all(short_body).context("refusal").ignore();
    }
}

Result<Exchange> Session::follow(const Call& call, const http::Url& first,
                                 std::optional<RequestFailure>& failure) {
    http::Url url = first;
    for (int hop = 0; hop < most_redirects; ++hop) {
        auto answer = TRY(send_authorized(call, url, failure));
        const auto location = answer.headers().get("Location");
        const bool safe = call.method == "GET" || call.method == "HEAD";
        if (!is_redirect(answer.status()) || !location || !safe) return answer;
        http::Url next = TRY(http::resolve_url(url, *location).context("redirect"));
        if (next.scheme != "https" &&
            (next.scheme != "http" || (url.scheme == "https" && endpoint_.verify)))
            return fail(ErrorKind::forbidden,
                        "refused to follow a redirect from {} to {} without TLS", url.authority(),
                        next.authority());
        next.user.clear();
        // Read, so that the connection can be used again.
        if (answer.length() && *answer.length() <= short_body)
            answer.read_all(short_body).context("redirect").ignore();
        url = std::move(next);
    }
    return fail(ErrorKind::corrupt, "{} \"{}\": stopped after {} redirects", verb_of(call.method),
                http::to_string(first), most_redirects);
}

Result<Exchange> Session::try_once(const Call& call, std::optional<RequestFailure>& failure) {
    const http::Url url = TRY(url_of(call));
    return follow(call, url, failure);
}

namespace {

/// Whether what kept a request from being answered may be over the next time.
bool is_passing(const RequestFailure& failure) {
    return failure.stage != Stage::connect && failure.error.kind() != ErrorKind::cancelled &&
           failure.error.kind() != ErrorKind::forbidden;
}

}  // namespace

template <typename T, typename Use>
Result<T> Session::repeated(const Call& call, const Use& use) {
    const TransportOptions& options = transport_.options();
    auto pause = options.first_pause;
    const int attempts = call.producer || call.once ? 1 : options.attempts;
    for (int attempt = 1;; ++attempt) {
        std::optional<RequestFailure> failure;
        auto answer = try_once(call, failure);
        std::optional<std::chrono::seconds> asked;
        if (answer) {
            note_warnings(*answer);
            asked = transport_.asked_wait(*answer);
        } else if (failure) {
            asked = failure->wait;
        }
        const bool last = attempt >= attempts || asked > options.longest_wait;
        // Without a failure the answer itself was wrong: it will be the next time, too.
        if (!answer && (last || !failure || !is_passing(*failure)))
            return std::move(answer).error();
        if (answer && (last || !is_passing(answer->status()))) {
            auto used = use(*std::move(answer));
            if (used || last || used.error().kind() != ErrorKind::unavailable) return used;
        }
        TRY(transport_.pause(asked ? std::chrono::milliseconds(*asked) : pause));
        pause = std::min<std::chrono::milliseconds>(pause * 2, longest_pause);
    }
}

Result<Exchange> Session::request(const Call& call) {
    return repeated<Exchange>(call, [](Exchange answer) -> Result<Exchange> { return answer; });
}

Result<Document> Session::document(const Call& call, std::size_t limit) {
    return repeated<Document>(call, [&](Exchange answer) -> Result<Document> {
        if (answer.status() >= 400) return Document{std::move(answer), {}};
        auto body = answer.read_all(limit);
        const ErrorKind kind = body ? ErrorKind::internal : body.error().kind();
        if (body) return Document{std::move(answer), *std::move(body)};
        if (kind == ErrorKind::corrupt || kind == ErrorKind::cancelled)
            return std::move(body).error();
        return std::move(body).error().with_kind(ErrorKind::unavailable);
    });
}

Result<void> Session::ping() {
    auto answer = TRY(request({.target = "/v2/"}));
    if (answer.status() >= 400)
        return plain_error(read_refusal(answer))
            .context(fmt::format("Get \"{}/v2/\"", endpoint_.base()));
    return {};
}

Result<FetchedManifest> Session::manifest(const std::string& tag_or_digest) {
    Call call{.target = path("manifests/" + tag_or_digest)};
    call.headers.set("Accept", fmt::format("{}, {}, {}, {}", oci::media::docker_manifest,
                                           oci::media::docker_list, oci::media::oci_manifest,
                                           oci::media::oci_index));
    auto [answer, body] = TRY(document(call, oci::manifest_limit));
    if (answer.status() >= 400) return pull_error(read_refusal(answer), repository_);
    if (answer.status() != 200)
        return fail(ErrorKind::unavailable, "manifest: unexpected HTTP status {}",
                    answer.status_line());
    FetchedManifest fetched{
        .bytes = std::move(body),
        .content_type = std::string(answer.headers().get_or("Content-Type", ""))};
    fetched.digest = storage::sha256_digest(fetched.bytes);
    const bool by_digest = tag_or_digest.contains(':');
    // What was asked for counts. A digest of another algorithm says nothing that we could check.
    const auto said = answer.headers().get_or("Docker-Content-Digest", "");
    const bool comparable = said.starts_with("sha256:");
    const std::string_view wanted = by_digest    ? std::string_view(tag_or_digest)
                                    : comparable ? said
                                                 : std::string_view(fetched.digest);
    if (wanted != fetched.digest)
        return fail(ErrorKind::corrupt, "manifest verification failed for digest {}", wanted);
    return fetched;
}

Call Session::blob_call(const std::string& digest) const {
    Call call{.target = path("blobs/" + digest)};
    call.headers.set("Accept-Encoding", "identity");
    return call;
}

Error Session::blob_error(Exchange& answer, const std::string& digest) const {
    const Refusal refusal = read_refusal(answer);
    if (refusal.status != 404) return pull_error(refusal, repository_);
    return fail(ErrorKind::not_found, "blob {} of {} is missing in the registry: {}", digest,
                repository_.familiar_name(), describe(refusal));
}

Result<Exchange> Session::blob(const std::string& digest, std::uint64_t offset) {
    Call call = blob_call(digest);
    if (offset > 0) call.headers.set("Range", fmt::format("bytes={}-", offset));
    auto answer = TRY(request(call));
    // It will not send a part: the whole has what is wanted, too.
    if (answer.status() == 416 && offset > 0) return blob(digest, 0);
    if (answer.status() >= 400) return blob_error(answer, digest);
    return answer;
}

Result<Exchange> Session::blob_part(const std::string& digest, std::uint64_t begin,
                                    std::uint64_t end) {
    Call call = blob_call(digest);
    call.once = true;
    call.headers.set("Range", fmt::format("bytes={}-{}", begin, end - 1));
    return request(call);
}

Result<std::string> Session::small_blob(const oci::Descriptor& wanted, std::size_t limit) {
    if (static_cast<std::uint64_t>(wanted.size) > limit)
        return fail(ErrorKind::corrupt, "blob {} has {} bytes, more than {}", wanted.digest,
                    wanted.size, limit);
    auto [answer, bytes] = TRY(document(blob_call(wanted.digest), limit));
    if (answer.status() >= 400) return blob_error(answer, wanted.digest);
    if (storage::sha256_digest(bytes) != wanted.digest)
        return fail(ErrorKind::corrupt, "image config verification failed for digest {}",
                    wanted.digest);
    return bytes;
}

void Session::note_warnings(const Exchange& answer) {
    for (const auto field : answer.headers().all("Warning")) {
        const auto text = warning_text(field);
        if (!text || text->empty()) continue;
        warnings_.with([&](Warnings& warnings) {
            if (warnings.known.size() < most_warnings && warnings.known.insert(*text).second)
                warnings.untold.push_back(*text);
        });
    }
}

std::vector<std::string> Session::take_warnings() {
    return warnings_.with([](Warnings& warnings) { return std::exchange(warnings.untold, {}); });
}

/// "" after the last one. A page elsewhere is refused: this one's credentials would not fit there.
Result<std::string> Session::next_page(const Exchange& answer) const {
    for (const auto field : answer.headers().all("Link")) {
        const auto target = next_link(field);
        if (target.empty()) continue;
        const auto url = TRY(http::resolve_url(answer.url(), target).context("next page"));
        if (!is_own(url))
            return fail(ErrorKind::forbidden, "tag list: refused to go on at {}", url.authority());
        return http::to_string(url);
    }
    return std::string();
}

Result<std::vector<std::string>> Session::tags() {
    std::vector<std::string> all;
    std::string page = path("tags/list");
    for (std::size_t pages = 0; !page.empty(); ++pages) {
        if (pages == most_pages)
            return fail(ErrorKind::corrupt, "tag list: more than {} pages", most_pages);
        auto [answer, body] = TRY(document({.target = page}, oci::manifest_limit));
        if (answer.status() >= 400) return pull_error(read_refusal(answer), repository_);
        auto next = TRY(next_page(answer));
        if (next == page) return fail(ErrorKind::corrupt, "tag list: a page follows itself");
        for (auto& tag : TRY(parse_as<TagList>(body, "tag list")).tags)
            all.push_back(std::move(tag));
        page = std::move(next);
    }
    return all;
}

Result<bool> Session::put_manifest(const std::string& tag_or_digest, const std::string& media_type,
                                   std::string text) {
    Call call{
        .method = "PUT", .target = path("manifests/" + tag_or_digest), .body = std::move(text)};
    call.headers.set("Content-Type", media_type);
    auto answer = TRY(request(call));
    if (answer.status() / 100 != 2) return plain_error(read_refusal(answer));
    return answer.headers().contains("OCI-Subject");
}

}  // namespace corten::image
