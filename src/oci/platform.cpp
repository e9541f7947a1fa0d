#include <base/text.hpp>
#include <oci/image_spec.hpp>
#include <sys/utsname.h>

#include <array>

namespace corten::oci {

namespace {

struct Alias {
    std::string_view name;
    std::string_view architecture;
    std::string_view variant;
};
constexpr std::array aliases{
    Alias{"x86_64", "amd64", ""},    Alias{"x86-64", "amd64", ""},  Alias{"i386", "386", ""},
    Alias{"i686", "386", ""},        Alias{"aarch64", "arm64", ""}, Alias{"armhf", "arm", "v7"},
    Alias{"armv7l", "arm", "v7"},    Alias{"armv6l", "arm", "v6"},  Alias{"armel", "arm", "v6"},
    Alias{"ppc64el", "ppc64le", ""},
};

/// The variant that a bare architecture name stands for.
std::string_view default_variant(std::string_view architecture) {
    if (architecture == "arm") return "v7";
    if (architecture == "arm64") return "v8";
    if (architecture == "amd64") return "v1";
    return "";
}

/// 7 for "v7"; 0 for what has no number.
int level(std::string_view variant) {
    if (variant.size() != 2 || variant[0] != 'v' || variant[1] < '0' || variant[1] > '9') return 0;
    return variant[1] - '0';
}

int level_of(const Platform& platform) {
    return level(platform.variant.empty() ? default_variant(platform.architecture)
                                          : std::string_view(platform.variant));
}

/// How well `offered` runs where `wanted` does; higher is better, nullopt is not at all.
std::optional<int> fitness(const Platform& offered, const Platform& wanted) {
    if (offered.os != wanted.os) return {};
    if (offered.architecture == wanted.architecture) {
        const int difference = level_of(wanted) - level_of(offered);
        return difference < 0 ? std::nullopt : std::optional(100 - difference);
    }
    // 64-bit machines run the 32-bit programs of their family.
    if (wanted.architecture == "amd64" && offered.architecture == "386") return 50;
    if (wanted.architecture == "arm64" && offered.architecture == "arm")
        return 50 + level_of(offered);
    return {};
}

}  // namespace

bool is_attestation(const Descriptor& entry) {
    return entry.annotations.contains("vnd.docker.reference.type");
}

Platform normalized(Platform platform) {
    platform.os = to_lower(platform.os);
    platform.architecture = to_lower(platform.architecture);
    platform.variant = to_lower(platform.variant);
    for (const auto& alias : aliases) {
        if (platform.architecture != alias.name) continue;
        platform.architecture = alias.architecture;
        if (platform.variant.empty()) platform.variant = alias.variant;
    }
    if (level(platform.variant) == 0 && platform.variant.size() == 1)
        platform.variant.insert(0, "v");
    if (platform.variant == default_variant(platform.architecture)) platform.variant.clear();
    return platform;
}

Platform host_platform() {
    utsname names{};
    ::uname(&names);
    return normalized(Platform{.architecture = names.machine, .os = "linux"});
}

Result<Platform> parse_platform(std::string_view text) {
    const auto parts = split(text, '/');
    for (const auto& part : parts)
        if (part.empty() || part.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
                                                   "UVWXYZ0123456789_.-") != part.npos)
            return fail(ErrorKind::invalid, "\"{}\": invalid platform component \"{}\"", text,
                        part);
    const Platform host = host_platform();
    if (parts.size() > 3)
        return fail(ErrorKind::invalid, "\"{}\": cannot parse platform specifier", text);
    if (parts.size() == 1 && (to_lower(parts[0]) == "linux" || to_lower(parts[0]) == "windows"))
        return normalized(Platform{.architecture = host.architecture, .os = parts[0]});
    if (parts.size() == 1) return normalized(Platform{.architecture = parts[0], .os = host.os});
    return normalized(Platform{.architecture = parts[1],
                               .os = parts[0],
                               .variant = parts.size() == 3 ? parts[2] : std::string()});
}

std::string to_string(const Platform& platform) {
    std::string text = fmt::format("{}/{}", platform.os, platform.architecture);
    if (!platform.variant.empty()) text += "/" + platform.variant;
    return text;
}

Result<Descriptor> choose_platform(const Index& index, const Platform& wanted) {
    const Platform target = normalized(wanted);
    const Descriptor* best = nullptr;
    int best_fitness = -1;
    for (const auto& entry : index.manifests) {
        if (is_attestation(entry)) continue;
        // An entry without a platform runs anywhere as far as its index says: taken last.
        const auto fit =
            entry.platform ? fitness(normalized(*entry.platform), target) : std::optional(0);
        if (!fit || *fit <= best_fitness) continue;
        best = &entry;
        best_fitness = *fit;
    }
    if (!best)
        return fail(ErrorKind::not_found,
                    "no matching manifest for {} in the manifest list entries", to_string(target));
    return *best;
}

}  // namespace corten::oci
