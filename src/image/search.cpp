#include "resolve.hpp"

#include <base/json.hpp>
#include <base/text.hpp>
#include <http/url.hpp>
#include <image/search.hpp>

namespace corten::image {

namespace {

constexpr std::string_view hub_index = "index.docker.io";
constexpr std::size_t answer_limit = 4 << 20;
constexpr std::size_t catalog_page = 1000;
constexpr int most_pages = 100;

struct IndexEntry {
    std::string name;
    std::string description;
    std::int64_t star_count = 0;
    bool is_official = false;
    bool is_automated = false;
    static constexpr void fields(auto visit) {
        using C = IndexEntry;
        visit(field("name", &C::name), field("description", &C::description),
              field("star_count", &C::star_count), field("is_official", &C::is_official),
              field("is_automated", &C::is_automated));
    }
};

struct IndexAnswer {
    std::vector<IndexEntry> results;
    static constexpr void fields(auto visit) { visit(field("results", &IndexAnswer::results)); }
};

struct Catalog {
    std::vector<std::string> repositories;
    static constexpr void fields(auto visit) {
        visit(field("repositories", &Catalog::repositories));
    }
};

struct Question {
    Reference registry;  ///< only the domain
    std::string text;
    std::size_t limit;
};

Question read_term(std::string_view term, std::size_t limit) {
    const auto [first, rest] = split_once(term, '/');
    const bool host = !rest.empty() && looks_like_domain(first);
    Question question{.registry = {.domain = std::string(host ? first : default_domain)},
                      .text = std::string(host ? rest : term),
                      .limit = limit};
    if (question.registry.domain == hub_index) question.registry.domain = default_domain;
    if (question.registry.domain == default_domain && question.text.starts_with("library/"))
        question.text.erase(0, std::string_view("library/").size());
    return question;
}

Error refused(Exchange& answer) {
    return plain_error(read_refusal(answer)).context("search");
}

Result<std::vector<FoundRepository>> read_index(Exchange& answer, std::size_t limit) {
    const auto body = TRY(answer.read_all(answer_limit).context("search"));
    std::vector<FoundRepository> found;
    for (IndexEntry& entry : TRY(parse_as<IndexAnswer>(body, "search")).results) {
        if (found.size() == limit) break;
        found.push_back({.name = std::move(entry.name),
                         .description = std::move(entry.description),
                         .stars = entry.star_count,
                         .official = entry.is_official,
                         .automated = entry.is_automated});
    }
    return found;
}

Result<std::vector<FoundRepository>> search_catalog(Session& session, const Question& question) {
    std::vector<FoundRepository> found;
    std::string last;
    for (int page = 0; page < most_pages; ++page) {
        auto answer = TRY(
            session.request({.target = fmt::format("/v2/_catalog?n={}{}", catalog_page, last)}));
        if (answer.status() != 200) return refused(answer);
        const bool more = answer.headers().get("Link").has_value();
        const auto body = TRY(answer.read_all(answer_limit).context("catalogue"));
        const auto names = TRY(parse_as<Catalog>(body, "catalogue")).repositories;
        for (const std::string& name : names) {
            if (!name.contains(question.text)) continue;
            found.push_back({.name = fmt::format("{}/{}", question.registry.domain, name)});
            if (found.size() == question.limit) return found;
        }
        if (!more || names.empty()) break;
        last = "&last=" + http::percent_encode(names.back());
    }
    return found;
}

Result<std::vector<FoundRepository>> ask(Session& session, const Question& question) {
    auto answer = TRY(session.request(
        {.target = fmt::format("/v1/search?q={}&n={}", http::percent_encode(question.text),
                               question.limit)}));
    if (answer.status() == 404 && question.registry.domain != default_domain)
        return search_catalog(session, question);
    if (answer.status() != 200) return refused(answer);
    return read_index(answer, question.limit);
}

}  // namespace

Result<std::vector<FoundRepository>> search(std::string_view term, std::size_t limit,
                                            const Credentials& credentials,
                                            const PullOptions& options, FdView cancel) {
    const Question question = read_term(term, limit);
    if (question.text.empty())
        return fail(ErrorKind::invalid, "search \"{}\": wanted [REGISTRY/]TERM", term);
    TRY(check_allowed(question.registry, options.registry));
    Transport transport(transport_options(options, cancel));
    std::vector<std::unique_ptr<Session>> sessions;
    RegistryConfig config = options.registry;
    config.mirrors.clear();  // they know what they were asked for, not what there is
    for (Endpoint& endpoint : endpoints_of(question.registry, config)) {
        if (question.registry.domain == default_domain) endpoint.host = hub_index;
        sessions.push_back(std::make_unique<Session>(transport, std::move(endpoint),
                                                     question.registry, credentials, ""));
    }
    return with_first_reachable<std::vector<FoundRepository>>(
        sessions, [&](Session& session) { return ask(session, question); });
}

}  // namespace corten::image
