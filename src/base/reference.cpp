#include <base/reference.hpp>
#include <base/text.hpp>

#include <array>

namespace corten {

namespace {

constexpr std::string_view legacy_domain = "index.docker.io";
constexpr std::string_view official_prefix = "library/";
constexpr std::size_t longest_path = 255;

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
constexpr bool is_letter(char c) {
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}
constexpr bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

template <typename Predicate>
bool all_of(std::string_view text, Predicate predicate) {
    return std::ranges::all_of(text, predicate);
}

Error invalid_format() {
    return fail(ErrorKind::invalid, "invalid reference format");
}

/// How many characters at the front of `text` separate two parts of a path component: ".", "_",
/// "__" or any number of "-"; 0 for anything else.
std::size_t separator_length(std::string_view text) {
    if (text.starts_with("__")) return 2;
    if (text.starts_with('_') || text.starts_with('.')) return 1;
    return std::min(text.find_first_not_of('-'), text.size());
}

bool is_alphanumeric_lower(char c) {
    return is_lower(c) || is_digit(c);
}

/// [a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*
bool is_path_component(std::string_view text) {
    while (true) {
        const auto run = static_cast<std::size_t>(
            std::ranges::find_if_not(text, is_alphanumeric_lower) - text.begin());
        if (run == 0) return false;
        text.remove_prefix(run);
        if (text.empty()) return true;
        const std::size_t separator = separator_length(text);
        if (separator == 0) return false;
        text.remove_prefix(separator);
    }
}

bool is_path(std::string_view path) {
    const auto parts = split(path, '/');
    return std::ranges::all_of(parts, is_path_component);
}

bool is_domain_component(std::string_view text) {
    return !text.empty() && text.front() != '-' && text.back() != '-' &&
           all_of(text, [](char c) { return is_letter(c) || is_digit(c) || c == '-'; });
}

bool is_host(std::string_view host) {
    if (host.starts_with('['))
        return host.ends_with(']') && host.size() > 2 &&
               all_of(host.substr(1, host.size() - 2),
                      [](char c) { return is_hex(c) || c == ':'; });
    const auto parts = split(host, '.');
    return std::ranges::all_of(parts, is_domain_component);
}

bool is_domain(std::string_view domain) {
    const std::size_t bracket = domain.rfind(']');
    const std::size_t colon = domain.rfind(':');
    if (colon == domain.npos || (bracket != domain.npos && colon < bracket)) return is_host(domain);
    const auto port = domain.substr(colon + 1);
    return is_host(domain.substr(0, colon)) && !port.empty() && all_of(port, is_digit);
}

/// [A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*
bool is_algorithm(std::string_view text) {
    bool at_start = true;
    for (const char c : text) {
        const bool separator = c == '-' || c == '_' || c == '+' || c == '.';
        if (at_start ? !is_letter(c) : !(is_letter(c) || is_digit(c) || separator)) return false;
        at_start = separator;
    }
    return !at_start;
}

Result<void> check_digest_part(std::string_view digest) {
    const auto [algorithm, value] = split_once(digest, ':');
    if (!is_algorithm(algorithm) || value.size() < 32 || !all_of(value, is_hex))
        return invalid_format();
    if (!is_lower_hex(value)) return fail(ErrorKind::invalid, "invalid checksum digest format");
    if (algorithm != "sha256" && algorithm != "sha384" && algorithm != "sha512")
        return fail(ErrorKind::invalid, "unsupported digest algorithm");
    const std::size_t wanted = algorithm == "sha256" ? 64 : algorithm == "sha384" ? 96 : 128;
    if (value.size() != wanted) return fail(ErrorKind::invalid, "invalid checksum digest length");
    return {};
}

}  // namespace

bool looks_like_domain(std::string_view text) {
    return text == "localhost" || text.find_first_of(".:") != text.npos || to_lower(text) != text;
}

namespace {

struct Halves {
    std::string domain;
    std::string remainder;
};

Halves split_domain(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == text.npos)
        return {std::string(default_domain), fmt::format("{}{}", official_prefix, text)};
    std::string_view domain = text.substr(0, slash);
    std::string_view remainder = text.substr(slash + 1);
    if (domain == legacy_domain) domain = default_domain;
    if (!looks_like_domain(domain)) {
        domain = default_domain;
        remainder = text;
    }
    if (domain == default_domain && !remainder.contains('/'))
        return {std::string(domain), fmt::format("{}{}", official_prefix, remainder)};
    return {std::string(domain), std::string(remainder)};
}

Result<void> check_case(std::string_view remainder) {
    const std::string_view remote = split_once(remainder, ':').first;
    if (to_lower(remote) == remote) return {};
    return fail(ErrorKind::invalid,
                "invalid reference format: repository name ({}) must be lowercase", remote);
}

/// Splits "path:tag@digest"; both ends are optional, but not empty when their mark is there.
Result<Reference> split_remainder(std::string_view remainder) {
    Reference reference;
    if (const std::size_t at = remainder.find('@'); at != remainder.npos) {
        reference.digest = remainder.substr(at + 1);
        TRY(check_digest_part(reference.digest));
        remainder = remainder.substr(0, at);
    }
    if (const std::size_t colon = remainder.find(':'); colon != remainder.npos) {
        reference.tag = remainder.substr(colon + 1);
        if (!is_valid_tag(reference.tag)) return invalid_format();
        remainder = remainder.substr(0, colon);
    }
    reference.path = remainder;
    return reference;
}

std::string with_suffixes(std::string text, const Reference& reference) {
    if (!reference.tag.empty()) text += ":" + reference.tag;
    if (!reference.digest.empty()) text += "@" + reference.digest;
    return text;
}

}  // namespace

bool is_valid_tag(std::string_view tag) {
    const auto word = [](char c) { return is_letter(c) || is_digit(c) || c == '_'; };
    return !tag.empty() && tag.size() <= 128 && word(tag[0]) &&
           all_of(tag, [&](char c) { return word(c) || c == '.' || c == '-'; });
}

Result<Reference> Reference::parse(std::string_view text) {
    if (text.size() == 64 && is_lower_hex(text))
        return fail(ErrorKind::invalid,
                    "invalid repository name ({}), cannot specify 64-byte hexadecimal strings",
                    text);
    const Halves halves = split_domain(text);
    TRY(check_case(halves.remainder));
    auto reference = TRY(split_remainder(halves.remainder));
    if (!is_domain(halves.domain) || !is_path(reference.path)) return invalid_format();
    if (reference.path.size() > longest_path)
        return fail(ErrorKind::invalid, "repository name must not be more than {} characters",
                    longest_path);
    reference.domain = halves.domain;
    return reference;
}

std::string Reference::name() const {
    return domain + "/" + path;
}

std::string Reference::familiar_name() const {
    if (domain != default_domain) return name();
    const std::string_view view = path;
    if (!view.starts_with(official_prefix)) return path;
    const auto rest = view.substr(official_prefix.size());
    return std::string(rest.contains('/') ? view : rest);
}

std::string Reference::canonical() const {
    return with_suffixes(name(), *this);
}

std::string Reference::familiar() const {
    return with_suffixes(familiar_name(), *this);
}

Reference Reference::with_default_tag() const {
    Reference copy = *this;
    if (copy.tag.empty() && copy.digest.empty()) copy.tag = default_tag;
    return copy;
}

}  // namespace corten
