#include "host_release.hpp"

#include <base/text.hpp>

#include <algorithm>
#include <map>

namespace corten::image {

namespace {

using Fields = std::map<std::string, std::string>;

/// Values may stand in either kind of quotes.
Fields parse_fields(std::string_view text) {
    Fields fields;
    for (const auto& line : split(text, '\n')) {
        const auto [name, value] = split_once(trim(line), '=');
        std::string plain(trim(value));
        std::erase_if(plain, [](char c) { return c == '"' || c == '\''; });
        fields[std::string(name)] = plain;
    }
    return fields;
}

bool is_like(const std::string& id_like, std::string_view distribution) {
    const auto names = split(id_like, ' ');
    return std::ranges::find(names, distribution) != names.end();
}

HostRelease debian() {
    return {.distribution = "debian",
            .codename = {},
            .version = {},
            .mirror = "http://deb.debian.org/debian",
            .archive_key = "/usr/share/keyrings/debian-archive-keyring.gpg",
            .script = "sid"};
}

HostRelease ubuntu() {
#ifdef __x86_64__
    constexpr const char* mirror = "http://archive.ubuntu.com/ubuntu";
#else
    constexpr const char* mirror = "http://ports.ubuntu.com/ubuntu-ports";
#endif
    return {.distribution = "ubuntu",
            .codename = {},
            .version = {},
            .mirror = mirror,
            .archive_key = "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
            .script = "gutsy"};
}

HostRelease derived(const std::string& id, bool from_ubuntu) {
    return {.distribution = id,
            .codename = {},
            .version = {},
            .mirror = {},
            .archive_key = {},
            .script = from_ubuntu ? "gutsy" : "sid"};
}

}  // namespace

Result<HostRelease> parse_release(std::string_view os_release) {
    Fields fields = parse_fields(os_release);
    const std::string& id = fields["ID"];
    const std::string& id_like = fields["ID_LIKE"];
    const bool from_ubuntu = is_like(id_like, "ubuntu");
    const bool own = id == "debian" || id == "ubuntu";
    if (!own && !from_ubuntu && !is_like(id_like, "debian"))
        return fail(ErrorKind::unsupported, "this host runs {}, which has no packages for this",
                    fields["PRETTY_NAME"]);
    const std::string& base = fields["UBUNTU_CODENAME"];
    const bool stands_on_ubuntu = !own && !base.empty();
    HostRelease release = id == "debian"                       ? debian()
                          : id == "ubuntu" || stands_on_ubuntu ? ubuntu()
                                                               : derived(id, from_ubuntu);
    release.codename = stands_on_ubuntu ? base : fields["VERSION_CODENAME"];
    if (!stands_on_ubuntu) release.version = fields["VERSION_ID"];
    if (release.codename.empty())
        return fail(ErrorKind::unsupported, "this host runs {}, whose release has no name",
                    fields["PRETTY_NAME"]);
    return release;
}

Result<std::vector<AptSource>> release_sources(const HostRelease& release,
                                               std::vector<AptSource> sources) {
    const auto is_release = [&](const AptSource& source) {
        return source.suite == release.codename;
    };
    // A distribution that is not known here signs with the key that its release is signed with.
    std::string key = release.archive_key;
    if (const auto found = std::ranges::find_if(sources, is_release);
        key.empty() && found != sources.end())
        key = found->signed_by;
    std::erase_if(sources, [&](const AptSource& source) {
        const bool own = is_release(source) || source.suite.starts_with(release.codename + "-");
        const bool signed_so = source.signed_by.empty() || source.signed_by == key;
        const bool plain = source.uri.starts_with("http://") || source.uri.starts_with("https://");
        return !own || !signed_so || !plain || source.uri.contains('@');
    });
    if (std::ranges::any_of(sources, is_release)) return sources;
    if (release.mirror.empty())
        return fail(ErrorKind::unsupported,
                    "no package source of this host is for {}, and where {} has its packages is "
                    "not known",
                    release.codename, release.distribution);
    sources.insert(sources.begin(), {.uri = release.mirror,
                                     .suite = release.codename,
                                     .components = {"main"},
                                     .signed_by = release.archive_key});
    return sources;
}

const AptSource& main_source(const HostRelease& release, const std::vector<AptSource>& sources) {
    return *std::ranges::find(sources, release.codename, &AptSource::suite);
}

}  // namespace corten::image
