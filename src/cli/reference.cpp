#include "reference.hpp"

#include <base/text.hpp>

#include <algorithm>

namespace corten::cli {

namespace {

constexpr std::string_view default_domain = "docker.io";

bool is_lower_alnum(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_word(char c) {
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/// Labels of letters, digits and inner dashes between dots, then perhaps a port.
bool is_domain(std::string_view text) {
    const auto [host, port] = split_once(text, ':');
    const bool has_port = text.find(':') != text.npos;
    if (has_port && (port.empty() || port.find_first_not_of("0123456789") != port.npos))
        return false;
    return std::ranges::all_of(split(host, '.'), [](std::string_view label) {
        return !label.empty() && label.front() != '-' && label.back() != '-' &&
               std::ranges::all_of(label,
                                   [](char c) { return c == '-' || (is_word(c) && c != '_'); });
    });
}

/// Letters and digits, between them one '.', one or two '_' or any number of '-'.
bool is_path_component(std::string_view text) {
    if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
    for (std::size_t i = 0; i < text.size();) {
        if (is_lower_alnum(text[i])) {
            ++i;
            continue;
        }
        const auto end = std::min(text.find_first_not_of("._-", i), text.size());
        const std::string_view gap = text.substr(i, end - i);
        if (gap.empty()) return false;
        const bool dashes = gap.find_first_not_of('-') == gap.npos;
        if (!dashes && gap != "." && gap != "_" && gap != "__") return false;
        i = end;
    }
    return true;
}

Result<void> check_path(std::string_view path) {
    if (std::ranges::any_of(path, [](char c) { return c >= 'A' && c <= 'Z'; }))
        return fail(ErrorKind::invalid,
                    "invalid reference format: repository name ({}) must be lowercase", path);
    for (const std::string& part : split(path, '/'))
        if (!is_path_component(part)) return fail(ErrorKind::invalid, "invalid reference format");
    if (path.size() > 255)
        return fail(ErrorKind::invalid, "repository name must not be more than 255 characters");
    return {};
}

bool is_tag(std::string_view tag) {
    return !tag.empty() && tag.size() <= 128 && is_word(tag[0]) &&
           std::ranges::all_of(tag, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

bool is_digest(std::string_view digest) {
    const auto [algorithm, hexadecimal] = split_once(digest, ':');
    return !algorithm.empty() && hexadecimal.size() >= 32 && is_lower_hex(hexadecimal);
}

}  // namespace

bool looks_like_domain(std::string_view part) {
    const bool has_upper = std::ranges::any_of(part, [](char c) { return c >= 'A' && c <= 'Z'; });
    return part == "localhost" || part.find_first_of(".:") != part.npos || has_upper;
}

std::string ImageName::familiar_repository() const {
    if (domain != default_domain) return repository();
    return path.starts_with("library/") ? path.substr(8) : path;
}

std::string ImageName::familiar() const {
    std::string out = familiar_repository();
    if (!tag.empty()) out += ":" + tag;
    if (!digest.empty()) out += "@" + digest;
    return out;
}

Result<ImageName> parse_image_name(std::string_view text) {
    ImageName name;
    if (text.size() == 64 && is_lower_hex(text))
        return fail(ErrorKind::invalid,
                    "invalid repository name ({}), cannot specify 64-byte hexadecimal strings",
                    text);
    std::string_view rest = text;
    if (const auto at = rest.find('@'); at != rest.npos) {
        name.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
        if (!is_digest(name.digest)) return fail(ErrorKind::invalid, "invalid reference format");
    }
    const auto slash = rest.find('/');
    const bool domain_given = slash != rest.npos && looks_like_domain(rest.substr(0, slash));
    name.domain = domain_given ? rest.substr(0, slash) : default_domain;
    if (name.domain == "index.docker.io") name.domain = default_domain;
    if (domain_given) rest = rest.substr(slash + 1);
    if (!is_domain(name.domain)) return fail(ErrorKind::invalid, "invalid reference format");
    if (const auto colon = rest.rfind(':'); colon != rest.npos) {
        name.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
        if (!is_tag(name.tag)) return fail(ErrorKind::invalid, "invalid reference format");
    }
    const bool official = name.domain == default_domain && rest.find('/') == rest.npos;
    name.path = official ? fmt::format("library/{}", rest) : std::string(rest);
    TRY(check_path(name.path));
    if (name.tag.empty() && name.digest.empty()) name.tag = "latest";
    return name;
}

}  // namespace corten::cli
