#include "path_rules.hpp"

#include <sys/stat.h>

#include <cerrno>

namespace corten::cli {

namespace {

std::string without_slashes(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

}  // namespace

std::optional<ContainerPath> split_container_path(const std::string& text) {
    if (text.starts_with('/') || text.starts_with('.')) return std::nullopt;
    const auto colon = text.find(':');
    if (colon == text.npos) return std::nullopt;
    std::string path = text.substr(colon + 1);
    if (!path.starts_with('/')) path.insert(0, "/");
    return ContainerPath{text.substr(0, colon), std::move(path)};
}

bool ends_in_slash(std::string_view path) {
    return path.size() > 1 && path.ends_with('/');
}

bool ends_in_dot(std::string_view path) {
    return path == "." || path.ends_with("/.");
}

std::string without_dot(std::string path) {
    if (path.ends_with("/.")) path.resize(path.size() - 1);
    return without_slashes(std::move(path));
}

std::string parent_of(const std::string& path) {
    const std::string clean = without_slashes(path);
    const auto slash = clean.rfind('/');
    if (slash == clean.npos) return ".";
    return slash == 0 ? "/" : clean.substr(0, slash);
}

std::string base_of(const std::string& path) {
    const std::string clean = without_dot(path);
    const auto slash = clean.rfind('/');
    return slash == clean.npos ? clean : clean.substr(slash + 1);
}

Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& target) {
    const std::string where = without_slashes(target.path);
    if (target.exists && target.directory) {
        const bool content = source.directory && ends_in_dot(source.path);
        const std::string base = base_of(source.path);
        return CopyPlan{where, content || base.empty() ? "." : base};
    }
    if (target.exists && source.directory)
        return fail(ErrorKind::conflict, "cannot copy directory");
    if (!source.directory && ends_in_slash(target.path))
        return fail(ErrorKind::not_found, "destination \"{}\" must be a directory", target.path);
    return CopyPlan{parent_of(where), base_of(where)};
}

Result<bool> is_directory_here(const std::string& path) {
    struct ::stat info{};
    const std::string looked_at = without_dot(path);
    if (::lstat(looked_at.c_str(), &info) != 0) return fail_errno("lstat {}", path);
    const bool through_link = S_ISLNK(info.st_mode) && (ends_in_slash(path) || ends_in_dot(path));
    if (through_link && ::stat(looked_at.c_str(), &info) != 0) return fail_errno("stat {}", path);
    return S_ISDIR(info.st_mode);
}

Result<CopyEnd> end_here(const std::string& path) {
    struct ::stat info{};
    if (::stat(path.c_str(), &info) == 0)
        return CopyEnd{.path = path, .exists = true, .directory = S_ISDIR(info.st_mode)};
    if (errno != ENOENT) return fail_errno("stat {}", path);
    if (::stat(parent_of(path).c_str(), &info) != 0)
        return fail_errno("invalid output path: directory {}", parent_of(path));
    return CopyEnd{.path = path};
}

}  // namespace corten::cli
