#include "apt_sources.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>

#include <map>

namespace corten::image {

namespace {

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    std::string spaced(text);
    std::ranges::replace(spaced, '\t', ' ');
    for (const auto& word : split(spaced, ' '))
        if (!trim(word).empty()) words.emplace_back(trim(word));
    return words;
}

using Paragraph = std::map<std::string, std::string>;

void add_paragraph(const Paragraph& fields, std::vector<AptSource>& out) {
    const auto value = [&](const char* name) {
        const auto found = fields.find(name);
        return found == fields.end() ? std::string() : found->second;
    };
    const std::string enabled = to_lower(trim(value("enabled")));
    const auto types = words_of(value("types"));
    if (enabled == "no" || enabled == "false" || std::ranges::find(types, "deb") == types.end())
        return;
    // An embedded key has several lines; it stays behind.
    const std::string key = value("signed-by");
    for (const auto& uri : words_of(value("uris")))
        for (const auto& suite : words_of(value("suites")))
            out.push_back({.uri = uri,
                           .suite = suite,
                           .components = words_of(value("components")),
                           .signed_by = trim(key).starts_with('/') ? std::string(trim(key)) : ""});
}

void add_file(const std::string& path, std::vector<AptSource>& out) {
    const auto text = sys::read_file(path, 1 << 20);
    if (!text) return;
    const auto found =
        path.ends_with(".sources") ? parse_deb822_sources(*text) : parse_one_line_sources(*text);
    out.insert(out.end(), found.begin(), found.end());
}

}  // namespace

std::vector<AptSource> parse_one_line_sources(std::string_view text) {
    std::vector<AptSource> sources;
    for (const auto& line : split(text, '\n')) {
        std::string_view rest = trim(split_once(line, '#').first);
        if (!rest.starts_with("deb ") && !rest.starts_with("deb\t")) continue;
        rest = trim(rest.substr(4));
        AptSource source;
        if (rest.starts_with('[')) {
            const std::size_t end = rest.find(']');
            if (end == rest.npos) continue;
            for (const auto& option : words_of(rest.substr(1, end - 1)))
                if (option.starts_with("signed-by=")) source.signed_by = option.substr(10);
            rest = trim(rest.substr(end + 1));
        }
        const auto words = words_of(rest);
        if (words.size() < 2) continue;
        source.uri = words[0];
        source.suite = words[1];
        source.components.assign(words.begin() + 2, words.end());
        sources.push_back(std::move(source));
    }
    return sources;
}

std::vector<AptSource> parse_deb822_sources(std::string_view text) {
    std::vector<AptSource> sources;
    Paragraph fields;
    std::string last;
    for (const auto& line : split(text, '\n')) {
        if (line.starts_with('#')) continue;
        if (trim(line).empty()) {
            add_paragraph(fields, sources);
            fields.clear();
        } else if (line.starts_with(' ') || line.starts_with('\t')) {
            fields[last] += line;
        } else {
            const auto [name, value] = split_once(line, ':');
            last = to_lower(trim(name));
            fields[last] = trim(value);
        }
    }
    add_paragraph(fields, sources);
    return sources;
}

std::vector<AptSource> host_sources() {
    std::vector<AptSource> sources;
    add_file("/etc/apt/sources.list", sources);
    const std::string directory = "/etc/apt/sources.list.d";
    auto names = sys::list_directory(directory);
    if (!names) return sources;
    std::ranges::sort(*names);
    for (const auto& name : *names)
        if (name.ends_with(".list") || name.ends_with(".sources"))
            add_file(directory + "/" + name, sources);
    return sources;
}

std::string to_deb822(const std::vector<AptSource>& sources) {
    std::string text;
    for (const auto& source : sources) {
        text += fmt::format("Types: deb\nURIs: {}\nSuites: {}\n", source.uri, source.suite);
        if (!source.components.empty())
            text += fmt::format("Components: {}\n", join(source.components, " "));
        if (!source.signed_by.empty()) text += fmt::format("Signed-By: {}\n", source.signed_by);
        text += "\n";
    }
    return text;
}

}  // namespace corten::image
