#include "disk_pressure.hpp"

#include <base/log.hpp>
#include <engine/images.hpp>
#include <sys/statvfs.h>

#include <algorithm>
#include <set>

namespace corten::engine {

namespace {

constexpr auto interval = std::chrono::minutes(5);

/// How full the disk is for everyone but root, in percent, as df(1) tells.
Result<unsigned> disk_use(const std::string& path) {
    struct ::statvfs disk{};
    if (::statvfs(path.c_str(), &disk) < 0) return fail_errno("look at the disk of {}", path);
    const std::uint64_t used = disk.f_blocks - disk.f_bfree;
    const std::uint64_t usable = used + disk.f_bavail;
    return usable == 0 ? 0 : static_cast<unsigned>((used * 100 + usable - 1) / usable);
}

WallTime last_use(const storage::Image& image) {
    return std::max({image.last_used, image.created, image.last_tagged});
}

/// Ids, the one that was not used for longest first.
Result<std::vector<std::string>> unused_images(Context& context) {
    std::set<std::string> used;
    for (const auto& container : context.containers.all()) used.insert(container->spec()->image_id);
    auto images = TRY(context.store->images().list());
    std::erase_if(images, [&](const auto& image) { return used.contains(image.id); });
    std::ranges::sort(images, {}, last_use);
    std::vector<std::string> ids;
    for (auto& image : images) ids.push_back(std::move(image.id));
    return ids;
}

Result<void> remove_until_low(Context& context) {
    const auto& marks = context.config.image_gc;
    const unsigned before = TRY(disk_use(context.config.data_root));
    if (before <= marks.high) return {};
    unsigned use = before;
    std::size_t removed = 0;
    for (const std::string& id : TRY(unused_images(context))) {
        // One that has children or got a container meanwhile stays.
        if (!Images(context).remove(id, {.force = true})) continue;
        ++removed;
        context.collect_garbage();
        use = TRY(disk_use(context.config.data_root));
        if (use <= marks.low) break;
    }
    log::info("the disk of {} was {} % full: {} images removed, now {} %", context.config.data_root,
              before, removed, use);
    return {};
}

}  // namespace

void relieve_disk(Context& context) {
    if (context.config.image_gc.high == 0) return;
    const std::unique_lock prune(context.prune, std::try_to_lock);
    if (!prune) return;  // somebody is at it
    if (const auto done = remove_until_low(context); !done)
        log::warning("collect images: {}", done.error().message());
}

void watch_disk(Context& context) {
    if (context.config.image_gc.high == 0) return;
    context.workers.post([&context] { relieve_disk(context); });
    context.timers.after(interval, [&context] { watch_disk(context); });
}

}  // namespace corten::engine
