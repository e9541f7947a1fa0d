// docker cp, export: trees in and out of containers, by descriptor only.
#include "body_source.hpp"
#include "mount_plan.hpp"
#include "mount_sources.hpp"

#include <engine/containers.hpp>
#include <storage/archive.hpp>
#include <storage/compression.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <algorithm>

namespace corten::engine {

namespace {

/// Where a path of a container is to be looked up.
struct Place {
    Fd root;
    std::string path;
    bool writable = true;
    std::unique_lock<std::mutex>
        operation;  ///< held while a stopped container's file system is open
};

/// The mount that a path of a stopped container falls into, the deepest one.
const PlannedMount* mount_over(const ContainerSpec& spec, const std::string& path) {
    const PlannedMount* best = nullptr;
    for (const auto& mount : spec.mounts) {
        if (mount.type == "tmpfs") continue;
        const bool covers = path == mount.target || path.starts_with(mount.target + "/");
        if (covers && (!best || mount.target.size() > best->target.size())) best = &mount;
    }
    return best;
}

Result<Fd> open_volume(Context& context, const PlannedMount& mount) {
    Fd volume = TRY(context.volume_mounts.open(mount.name));
    if (mount.subpath.empty()) return volume;
    return open_volume_subpath(volume, mount.subpath);
}

Result<Place> place_in_mount(Context& context, const PlannedMount& mount, const std::string& clean,
                             std::string_view tail) {
    Fd root = TRY(mount.type == "volume" ? open_volume(context, mount)
                                         : sys::open(mount.source, O_PATH | O_DIRECTORY));
    Place place{.root = std::move(root), .path = {}, .writable = !mount.read_only, .operation = {}};
    place.path =
        "/" + clean.substr(std::min(clean.size(), mount.target.size() + 1)) + std::string(tail);
    return place;
}

/// `clean_path` would drop the "/." and "/" at the end, which mean something to docker cp.
std::string_view meaningful_tail(std::string_view path) {
    if (path.ends_with("/.")) return "/.";
    if (path.size() > 1 && path.ends_with('/')) return "/";
    return {};
}

Result<Place> place_of(Context& context, const std::shared_ptr<Container>& container,
                       const std::string& path) {
    const auto spec = container->spec();
    if (path.find('\0') != std::string::npos)
        return fail(ErrorKind::invalid, "the path holds a NUL byte");
    if (container->state().is_running()) {
        auto root = open_live_root(*container);
        if (root)
            return Place{.root = std::move(*root),
                         .path = path,
                         .writable = !spec->host.readonly_rootfs,
                         .operation = {}};
    }
    std::unique_lock operation(container->operation());
    const std::string clean = clean_path(path);
    if (const auto* mount = mount_over(*spec, clean))
        return place_in_mount(context, *mount, clean, meaningful_tail(path));
    const auto access =
        spec->host.readonly_rootfs ? storage::Access::read_only : storage::Access::read_write;
    return Place{.root = TRY(context.store->snapshots().mount(spec->id, access)),
                 .path = path,
                 .writable = !spec->host.readonly_rootfs,
                 .operation = std::move(operation)};
}

template <typename T>
Result<T> with_docker_text(Result<T> result, const std::string& path, std::string_view ref) {
    if (result || result.error().kind() != ErrorKind::not_found) return result;
    return fail(ErrorKind::not_found, "Could not find the file {} in container {}", path, ref);
}

}  // namespace

Result<PathStat> Containers::stat_path(std::string_view ref, const std::string& path) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto place = TRY(place_of(context_, container, path));
    const auto status = TRY(with_docker_text(storage::stat_in(place.root, place.path), path, ref));
    const auto modified =
        std::chrono::seconds(status.mtime.tv_sec) + std::chrono::nanoseconds(status.mtime.tv_nsec);
    return PathStat{.name = status.name,
                    .size = static_cast<std::int64_t>(status.size),
                    .mode = status.mode,
                    .modified = WallTime(modified),
                    .link_target = status.link_target};
}

Result<void> Containers::get_archive(std::string_view ref, const std::string& path,
                                     ArchiveEncoding encoding, const ByteSink& sink) {
    const auto container = TRY(context_.containers.find(ref));
    const auto place = TRY(place_of(context_, container, path));
    storage::FunctionSink out(sink);
    const auto packed = TRY(storage::Compressor::create(
        encoding == ArchiveEncoding::gzip ? storage::Compression::gzip : storage::Compression::none,
        out));
    TRY(with_docker_text(storage::tar_from(place.root, place.path, *packed), path, ref));
    TRY(packed->finish());
    publish_container_event(context_, *container->spec(), "archive-path", {{"path", path}});
    return {};
}

Result<void> Containers::put_archive(std::string_view ref, const std::string& path,
                                     const PutArchive& options, const ByteSource& source) {
    const auto container = TRY(context_.containers.find(ref));
    const auto place = TRY(place_of(context_, container, path));
    if (!place.writable) return fail(ErrorKind::forbidden, "container rootfs is marked read-only");
    const auto status =
        TRY(with_docker_text(storage::stat_in(place.root, place.path + "/"), path, ref));
    if (!S_ISDIR(status.mode))
        return fail(ErrorKind::invalid, "extraction point is not a directory");
    BodySource body(source);
    auto plain = TRY(storage::Decompressor::create(body));
    storage::UntarOptions untar{
        .no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir, .owner = {}, .limits = {}};
    if (!options.copy_uid_gid) untar.owner = storage::Owner{};
    TRY(storage::untar_into(place.root, place.path, *plain, untar));
    publish_container_event(context_, *container->spec(), "extract-to-dir", {{"path", path}});
    return {};
}

Result<void> Containers::export_archive(std::string_view ref, const ByteSink& sink) {
    const auto container = TRY(context_.containers.find(ref));
    const Fd root =
        TRY(context_.store->snapshots().mount(container->id(), storage::Access::read_only));
    storage::FunctionSink out(sink);
    TRY(storage::tar_tree(root, out));
    publish_container_event(context_, *container->spec(), "export");
    return {};
}

}  // namespace corten::engine
