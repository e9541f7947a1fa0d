#pragma once
// Where `cp` puts things: the rules of cp -a, which docker's command keeps.
#include <base/result.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace corten::cli {

/// Bits of Go's os.FileMode.
inline constexpr std::uint32_t go_mode_directory = 1u << 31;
inline constexpr std::uint32_t go_mode_symlink = 1u << 27;

struct ContainerPath {
    std::string container;
    std::string path;  ///< absolute
};
/// "web:/etc"; nullopt for a path of this machine ("./a:b", "/a:b", "a").
std::optional<ContainerPath> split_container_path(const std::string& text);

/// One end of a copy.
struct CopyEnd {
    std::string path;
    bool exists = false;
    bool directory = false;
};

/// The archive's top entry becomes `name` in `directory`; "." means that the source directory's
/// content goes there.
struct CopyPlan {
    std::string directory;
    std::string name;
};
Result<CopyPlan> plan_copy(const CopyEnd& source, const CopyEnd& target);

/// What a path of this machine is; its parent must exist.
Result<CopyEnd> end_here(const std::string& path);
Result<bool> is_directory_here(const std::string& path);

bool ends_in_slash(std::string_view path);
/// "/." at the end, or "." alone: the content, not the directory.
bool ends_in_dot(std::string_view path);
std::string without_dot(std::string path);
std::string parent_of(const std::string& path);
std::string base_of(const std::string& path);

}  // namespace corten::cli
