#include "seccomp_cache.hpp"

#include <base/text.hpp>

#include <seccomp/compile.hpp>
#include <seccomp/profile.hpp>

#include <optional>

namespace corten::engine {

namespace {
constexpr std::size_t most_programs = 64;

Result<std::string> compile(const std::string& profile,
                            const std::vector<std::string>& capabilities) {
    const std::string_view text =
        profile.empty() ? seccomp::default_profile() : std::string_view(profile);
    const auto section = TRY(seccomp::resolve(
        text, {.capabilities = capabilities, .architecture = {}, .kernel_release = {}}));
    return seccomp::compile(section);
}

}  // namespace

Result<Fd> SeccompCache::program(const std::string& profile,
                                 const std::vector<std::string>& capabilities) {
    const std::string key = join(capabilities, ",") + "\n" + profile;
    auto known = programs_.with([&](const Programs& programs) -> std::optional<std::string> {
        const auto at = programs.by_key.find(key);
        if (at == programs.by_key.end()) return {};
        return at->second;
    });
    if (!known) {
        known = TRY(compile(profile, capabilities));
        programs_.with([&](Programs& programs) {
            if (programs.by_key.size() >= most_programs) programs.by_key.clear();
            programs.by_key[key] = *known;
        });
    }
    return seccomp::to_file(*known);
}

}  // namespace corten::engine
