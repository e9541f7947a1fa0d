#include "router.hpp"

namespace corten::api {

namespace {
/// No object has a name near this; it bounds what matching can cost.
constexpr std::size_t longest_path = 4096;
}  // namespace

void Router::add(std::span<const Route> routes) {
    routes_.insert(routes_.end(), routes.begin(), routes.end());
}

const Route* Router::find(std::string_view method, std::string_view path,
                          std::vector<std::string>& parameters) const {
    if (path.size() > longest_path) return nullptr;
    for (const auto& route : routes_) {
        parameters.clear();
        if (route.method == method && matches(route.pattern, path, parameters)) return &route;
    }
    return nullptr;
}

bool matches(std::string_view pattern, std::string_view path,
             std::vector<std::string>& parameters) {
    const auto hole = pattern.find("{}");
    if (hole == std::string_view::npos) return pattern == path;
    if (!path.starts_with(pattern.substr(0, hole))) return false;
    path.remove_prefix(hole);
    pattern.remove_prefix(hole + 2);
    const auto index = parameters.size();
    for (std::size_t length = path.size() + 1; length-- > 0;) {
        parameters.resize(index);
        parameters.emplace_back(path.substr(0, length));
        if (matches(pattern, path.substr(length), parameters)) return true;
    }
    parameters.resize(index);
    return false;
}

}  // namespace corten::api
