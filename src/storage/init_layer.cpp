#include "init_layer.hpp"

#include "tree.hpp"

#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace corten::storage {

namespace {

enum class Kind { directory, file, mounts_link };
struct Item {
    std::string_view path;
    Kind kind;
};
constexpr Item items[] = {
    {"dev/pts", Kind::directory},    {"dev/shm", Kind::directory}, {"proc", Kind::directory},
    {"sys", Kind::directory},        {".dockerenv", Kind::file},   {"etc/resolv.conf", Kind::file},
    {"etc/hosts", Kind::file},       {"etc/hostname", Kind::file}, {"dev/console", Kind::file},
    {"etc/mtab", Kind::mounts_link},
};

int make(FdView parent, const std::string& leaf, Kind kind) {
    switch (kind) {
        case Kind::directory:
            return ::mkdirat(parent.raw(), leaf.c_str(), 0755);
        case Kind::mounts_link:
            return ::symlinkat("/proc/mounts", parent.raw(), leaf.c_str());
        case Kind::file:
            break;
    }
    return ::mknodat(parent.raw(), leaf.c_str(), S_IFREG | 0755, 0);
}

}  // namespace

Result<void> fill_init_layer(FdView root) {
    DirectoryCache directories(root);
    for (const Item& item : items) {
        const auto [above, leaf] = split_leaf(item.path);
        auto parent = directories.open(above, DirectoryCache::Missing::create);
        // An image may have made "etc" a file or a link that leads nowhere; its containers then get
        // an error where the mount is made, and not everybody who only looks at the image.
        if (!parent) continue;
        if (make(*parent, std::string(leaf), item.kind) < 0 && errno != EEXIST)
            return fail_errno("init layer: make {}", item.path);
    }
    return {};
}

}  // namespace corten::storage
