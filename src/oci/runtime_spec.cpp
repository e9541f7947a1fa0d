#include <oci/runtime_spec.hpp>

#include <algorithm>

namespace corten::oci {

Result<Spec> parse_spec(std::string_view text) {
    return parse_as<Spec>(text, "config.json");
}

const LinuxNamespace* find_namespace(const Spec& spec, std::string_view type) {
    const auto& all = spec.linux_section.namespaces;
    const auto found = std::ranges::find(all, type, &LinuxNamespace::type);
    return found == all.end() ? nullptr : &*found;
}

}  // namespace corten::oci
