#include <base/text.hpp>
#include <http/url.hpp>

#include <algorithm>

namespace corten::http {

namespace {

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The byte that text[at] == '%' stands for, or -1.
int escaped_byte(std::string_view text, std::size_t at) {
    if (at + 2 >= text.size()) return -1;
    const int high = digit_of(text[at + 1]);
    const int low = digit_of(text[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

std::string decode_form(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int byte = text[i] == '%' ? escaped_byte(text, i) : -1;
        if (byte >= 0) i += 2;
        out += byte >= 0 ? static_cast<char>(byte) : text[i] == '+' ? ' ' : text[i];
    }
    return out;
}

std::string_view default_port(std::string_view scheme) {
    if (scheme == "http") return "80";
    if (scheme == "https") return "443";
    return "";
}

/// Splits "[::1]:5000", "host:5000" or "host".
Result<void> read_authority(std::string_view text, Url& url) {
    std::string_view port;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos)
            return fail(ErrorKind::invalid, "{}: no ']' after '['", text);
        url.host = text.substr(1, close - 1);
        port = text.substr(close + 1);
        if (!port.empty() && !port.starts_with(':'))
            return fail(ErrorKind::invalid, "{}: bad port", text);
        if (!port.empty()) port.remove_prefix(1);
    } else {
        const auto [host, rest] = split_once(text, ':');
        url.host = host;
        port = rest;
    }
    if (!std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }))
        return fail(ErrorKind::invalid, "{}: the port is not a number", text);
    url.port = port.empty() ? default_port(url.scheme) : port;
    return {};
}

/// Removes "." and ".." segments (RFC 3986 5.2.4).
std::string remove_dots(std::string_view path) {
    std::vector<std::string> kept;
    const auto segments = split(path, '/');
    for (std::size_t i = 1; i < segments.size(); ++i) {
        const bool last = i + 1 == segments.size();
        const bool up = segments[i] == "..";
        if (up && !kept.empty()) kept.pop_back();
        if (!up && segments[i] != ".")
            kept.push_back(segments[i]);
        else if (last)
            kept.emplace_back();
    }
    return "/" + join(kept, "/");
}

}  // namespace

Query Query::parse(std::string_view text) {
    Query query;
    for (const auto& part : split(text, '&')) {
        if (part.empty()) continue;
        const auto [name, value] = split_once(part, '=');
        query.add(decode_form(name), decode_form(value));
    }
    return query;
}

std::optional<std::string_view> Query::get(std::string_view name) const {
    for (const auto& [key, value] : fields_)
        if (key == name) return value;
    return {};
}

std::string_view Query::get_or(std::string_view name, std::string_view other) const {
    return get(name).value_or(other);
}

std::vector<std::string> Query::all(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& [key, value] : fields_)
        if (key == name) values.push_back(value);
    return values;
}

void Query::add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
}

std::string Query::encode() const {
    std::string out;
    for (const auto& [name, value] : fields_) {
        if (!out.empty()) out += '&';
        out += percent_encode(name) + '=' + percent_encode(value);
    }
    return out;
}

std::string percent_encode(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        if (is_unreserved(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += {'%', digits[byte >> 4], digits[byte & 15]};
    }
    return out;
}

Result<std::string> percent_decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        const int byte = escaped_byte(text, i);
        if (byte <= 0) return fail(ErrorKind::invalid, "invalid URL escape in \"{}\"", text);
        out += static_cast<char>(byte);
        i += 2;
    }
    return out;
}

std::string Url::authority() const {
    const bool v6 = host.find(':') != std::string::npos;
    std::string out = v6 ? "[" + host + "]" : host;
    if (!port.empty() && port != default_port(scheme)) out += ":" + port;
    return out;
}

Result<Url> parse_url(std::string_view text) {
    const auto mark = text.find("://");
    if (mark == std::string_view::npos || mark == 0)
        return fail(ErrorKind::invalid, "\"{}\" is no URL: no scheme", text);
    Url url{.scheme = to_lower(text.substr(0, mark))};
    std::string_view rest = text.substr(mark + 3);
    rest = rest.substr(0, rest.find('#'));
    const auto slash = std::min(rest.find('/'), rest.find('?'));
    std::string_view authority = rest.substr(0, slash);
    const auto at = authority.rfind('@');
    if (at != std::string_view::npos) {
        url.user = authority.substr(0, at);
        authority.remove_prefix(at + 1);
    }
    TRY(read_authority(authority, url));
    if (url.host.empty()) return fail(ErrorKind::invalid, "\"{}\" is no URL: no host", text);
    if (slash != std::string_view::npos) url.target = rest.substr(slash);
    if (!url.target.starts_with('/')) url.target.insert(0, "/");
    return url;
}

Result<Url> resolve_url(const Url& base, std::string_view location) {
    const auto mark = location.find("://");
    if (mark != std::string_view::npos && mark < location.find_first_of("/?#"))
        return parse_url(location);
    if (location.starts_with("//")) return parse_url(base.scheme + ":" + std::string(location));
    Url url = base;
    location = location.substr(0, location.find('#'));
    const auto path_end = base.target.find('?');
    const std::string base_path = base.target.substr(0, path_end);
    const auto [path, query] = split_once(location, '?');
    const bool has_query = location.find('?') != std::string_view::npos;
    std::string joined(path);
    if (path.empty())
        joined = base_path;
    else if (!path.starts_with('/'))
        joined = base_path.substr(0, base_path.rfind('/') + 1) + joined;
    url.target = remove_dots(joined);
    if (has_query) url.target += "?" + std::string(query);
    return url;
}

std::string to_string(const Url& url) {
    return url.scheme + "://" + (url.user.empty() ? "" : url.user + "@") + url.authority() +
           url.target;
}

}  // namespace corten::http
