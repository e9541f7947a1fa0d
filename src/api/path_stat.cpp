#include "path_stat.hpp"

#include <apitypes/container.hpp>
#include <base/text.hpp>
#include <sys/stat.h>

namespace corten::api {

std::uint32_t go_file_mode(std::uint32_t st_mode) {
    // Go's os package: ModeDir 1<<31, ModeSymlink 1<<27, ModeDevice 1<<26, ModeNamedPipe 1<<25,
    // ModeSocket 1<<24, ModeSetuid 1<<23, ModeSetgid 1<<22, ModeCharDevice 1<<21, ModeSticky 1<<20.
    std::uint32_t mode = st_mode & 0777;
    switch (st_mode & S_IFMT) {
        case S_IFDIR:
            mode |= 1U << 31;
            break;
        case S_IFLNK:
            mode |= 1U << 27;
            break;
        case S_IFBLK:
            mode |= 1U << 26;
            break;
        case S_IFCHR:
            mode |= 1U << 26 | 1U << 21;
            break;
        case S_IFIFO:
            mode |= 1U << 25;
            break;
        case S_IFSOCK:
            mode |= 1U << 24;
            break;
        default:
            break;
    }
    if (st_mode & S_ISUID) mode |= 1U << 23;
    if (st_mode & S_ISGID) mode |= 1U << 22;
    if (st_mode & S_ISVTX) mode |= 1U << 20;
    return mode;
}

std::string path_stat_header(const engine::PathStat& stat) {
    const apitypes::PathStat shown{.name = stat.name,
                                   .size = stat.size,
                                   .mode = go_file_mode(stat.mode),
                                   .mtime = rfc3339(stat.modified),
                                   .link_target = stat.link_target};
    return base64_encode(dump_json(to_json(shown)));
}

}  // namespace corten::api
