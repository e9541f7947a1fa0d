// docker cp, export: trees in and out of containers, by descriptor only.
#include "body_source.hpp"
#include "mount_plan.hpp"
#include "mount_sources.hpp"
#include "users.hpp"

#include <base/ids.hpp>
#include <engine/containers.hpp>
#include <storage/archive.hpp>
#include <storage/compression.hpp>
#include <sys/file.hpp>

#include <fcntl.h>

#include <algorithm>
#include <optional>

namespace corten::engine {

namespace {

/// What is to be done there.
enum class Purpose { read, write };

/// Where a path of a container is to be looked up.
struct Place {
    /// Held while the file system of a stopped container is open for writing: two mounts of it that
    /// write would spoil each other's files.
    std::unique_lock<std::mutex> operation;
    Fd root;
    std::string path;
    std::string refusal;  ///< why nothing may be written there; empty: it may
};

/// The mount that a path falls into, the deepest one.
const PlannedMount* mount_over(const ContainerSpec& spec, const std::string& path) {
    const PlannedMount* best = nullptr;
    for (const auto& mount : spec.mounts) {
        const bool covers = path == mount.target || path.starts_with(mount.target + "/");
        if (covers && (!best || mount.target.size() > best->target.size())) best = &mount;
    }
    return best;
}

std::string refusal_of(const ContainerSpec& spec, const PlannedMount* mount) {
    if (mount) return mount->read_only ? "mounted volume is marked read-only" : "";
    return spec.host.readonly_rootfs ? "container rootfs is marked read-only" : "";
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
    Place place{.operation = {}, .root = std::move(root), .path = {}, .refusal = {}};
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

/// As the container's processes see it, mounts included.
Result<Place> live_place(const Container& container, const std::string& path) {
    const auto spec = container.spec();
    return Place{.operation = {},
                 .root = TRY(open_live_root(container)),
                 .path = path,
                 .refusal = refusal_of(*spec, mount_over(*spec, clean_path(path)))};
}

Result<Place> place_in_stopped(Context& context, const ContainerSpec& spec, const std::string& path,
                               Purpose purpose) {
    const std::string clean = clean_path(path);
    const auto* mount = mount_over(spec, clean);
    if (mount && mount->type == "tmpfs") mount = nullptr;  // it comes with the start
    const std::string refusal = refusal_of(spec, mount);
    if (mount) {
        Place place = TRY(place_in_mount(context, *mount, clean, meaningful_tail(path)));
        place.refusal = refusal;
        return place;
    }
    const bool writes = purpose == Purpose::write && refusal.empty();
    const auto access = writes ? storage::Access::read_write : storage::Access::read_only;
    return Place{.operation = {},
                 .root = TRY(context.store->snapshots().mount(spec.id, access)),
                 .path = path,
                 .refusal = refusal};
}

/// A client that reads slowly, or not at all, keeps nobody from starting or removing the container.
Result<Place> place_of(Context& context, const std::shared_ptr<Container>& container,
                       const std::string& path, Purpose purpose) {
    if (path.find('\0') != std::string::npos)
        return fail(ErrorKind::invalid, "the path holds a NUL byte");
    if (container->state().is_running()) {
        auto place = live_place(*container, path);
        if (place || container->state().is_running()) return place;
    }
    if (purpose == Purpose::read)
        return place_in_stopped(context, *container->spec(), path, purpose);
    std::unique_lock operation(container->operation());
    TRY(check_present(*container, container->name()));
    if (container->state().is_running()) return live_place(*container, path);
    Place place = TRY(place_in_stopped(context, *container->spec(), path, purpose));
    place.operation = std::move(operation);
    return place;
}

/// Without what is mounted in it. While it runs that is its own mount: what a second one shows of
/// files that change is not defined.
Result<Fd> own_files(Context& context, const Container& container) {
    if (container.state().is_running()) {
        auto root = clone_live_root(container);
        if (root || container.state().is_running()) return root;
    }
    return context.store->snapshots().mount(container.id(), storage::Access::read_only);
}

/// Whom copyUIDGID gives everything to: the container's user, when it has one.
Result<std::optional<storage::Owner>> new_owner(Context& context, const Container& container) {
    const auto spec = container.spec();
    if (spec->config.user.empty()) return std::optional<storage::Owner>();
    auto root = open_live_root(container);
    if (!root) root = context.store->snapshots().mount(spec->id, storage::Access::read_only);
    const auto user = TRY(resolve_user(TRY(std::move(root)), spec->config.user, {}));
    return std::optional(storage::Owner{.uid = user.uid, .gid = user.gid});
}

/// The rest of a request's body in a file without a name.
Result<Fd> spool(Context& context, storage::Source& body) {
    const auto path = fmt::format("{}/load-{}", context.store->root(), random_hex(8));
    Fd file = TRY(sys::open(path, O_RDWR | O_CREAT | O_EXCL, 0600));
    TRY(sys::remove_file(path));
    for (auto bytes = TRY(body.next()); !bytes.empty(); bytes = TRY(body.next()))
        TRY(sys::write_all(file, bytes));
    if (::lseek(file.raw(), 0, SEEK_SET) < 0) return fail_errno("read the archive again");
    return file;
}

Result<void> extract(const Place& place, storage::Source& archive,
                     const storage::UntarOptions& options) {
    const auto plain = TRY(storage::Decompressor::create(archive));
    TRY(storage::untar_into(place.root, place.path, *plain, options));
    return {};
}

template <typename T>
Result<T> with_docker_text(Result<T> result, const std::string& path, std::string_view ref) {
    if (result || result.error().kind() != ErrorKind::not_found) return result;
    return fail(ErrorKind::not_found, "Could not find the file {} in container {}", path, ref);
}

/// Where an archive is to go.
struct Target {
    const std::shared_ptr<Container>& container;
    const std::string& path;
    std::string_view ref;
};

Result<Place> extraction_point(Context& context, const Target& target) {
    Place place = TRY(place_of(context, target.container, target.path, Purpose::write));
    if (!place.refusal.empty()) return fail(ErrorKind::forbidden, "{}", place.refusal);
    const auto status = TRY(
        with_docker_text(storage::stat_in(place.root, place.path + "/"), target.path, target.ref));
    if (!S_ISDIR(status.mode))
        return fail(ErrorKind::invalid, "extraction point is not a directory");
    return place;
}

/// What goes into a stopped container is here before that is locked: nobody waits for a client that
/// writes slowly, or not at all.
Result<void> extract_body(Context& context, const Target& target, const ByteSource& source,
                          const storage::UntarOptions& options) {
    BodySource body(source);
    {
        const Place place = TRY(extraction_point(context, target));
        if (!place.operation) return extract(place, body, options);
    }
    const Fd kept = TRY(spool(context, body));
    const Place place = TRY(extraction_point(context, target));
    storage::FdSource archive(kept);
    return extract(place, archive, options);
}

}  // namespace

Result<PathStat> Containers::stat_path(std::string_view ref, const std::string& path) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto place = TRY(place_of(context_, container, path, Purpose::read));
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
    const auto place = TRY(place_of(context_, container, path, Purpose::read));
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
    std::optional<storage::Owner> owner;
    if (options.copy_uid_gid) owner = TRY(new_owner(context_, *container));
    const storage::UntarOptions untar{
        .no_overwrite_dir_non_dir = options.no_overwrite_dir_non_dir, .owner = owner, .limits = {}};
    TRY(extract_body(context_, {container, path, ref}, source, untar));
    publish_container_event(context_, *container->spec(), "extract-to-dir", {{"path", path}});
    return {};
}

Result<void> Containers::export_archive(std::string_view ref, const ByteSink& sink) {
    const auto container = TRY(context_.containers.find(ref));
    const Fd root = TRY(own_files(context_, *container));
    storage::FunctionSink out(sink);
    TRY(storage::tar_tree(root, out));
    publish_container_event(context_, *container->spec(), "export");
    return {};
}

}  // namespace corten::engine
