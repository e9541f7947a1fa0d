#include "mount_sources.hpp"

#include "volume_options.hpp"

#include <base/log.hpp>
#include <base/rollback.hpp>
#include <storage/archive.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/namespaces.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace corten::engine {

Result<std::shared_ptr<Container>> running_container(Context& context, std::string_view ref) {
    auto container = TRY(context.containers.find(ref));
    if (!container->state().is_running())
        return fail(ErrorKind::conflict,
                    "cannot join namespace of a non running container: container {} is {}", ref,
                    container->state().status);
    return container;
}

namespace {

Result<sys::PidRef> live_process(const Container& container) {
    const auto state = container.state();
    if (!state.is_running())
        return fail(ErrorKind::conflict, "container {} is not running", container.id());
    return sys::PidRef::open(state.pid);
}

/// Opens /proc/PID/what, and makes sure that PID still was the container's process when it did.
Result<Fd> open_of_process(const Container& container, const std::string& what, int flags) {
    const auto process = TRY(live_process(container));
    Fd fd = TRY(sys::open(fmt::format("/proc/{}/{}", process.pid(), what), flags));
    if (process.has_exited() || container.state().pid != process.pid())
        return fail(ErrorKind::conflict, "container {} is not running", container.id());
    return fd;
}

}  // namespace

Result<Fd> open_namespace(const Container& container, std::string_view type) {
    return open_of_process(container, fmt::format("ns/{}", type), O_RDONLY);
}

Result<Fd> open_live_root(const Container& container) {
    const Fd mounts = TRY(open_namespace(container, "mnt"));
    Fd root;
    TRY(sys::in_mount_namespace(mounts, [&]() -> Result<void> {
        root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
        return {};
    }));
    return root;
}

Result<Fd> clone_live_root(const Container& container) {
    const Fd mounts = TRY(open_namespace(container, "mnt"));
    Fd root;
    TRY(sys::in_mount_namespace(mounts, [&]() -> Result<void> {
        const Fd here = TRY(sys::open("/", O_PATH | O_DIRECTORY));
        root = TRY(sys::clone_mount(here, "", sys::Depth::single));
        return {};
    }));
    return root;
}

namespace {

/// What is in `from`, with the owner and mode of the directory itself.
Result<void> copy_directory(const Fd& from, const std::string& to) {
    struct ::stat status{};
    if (::fstat(from.raw(), &status) < 0) return fail_errno("stat a directory of the image");
    const Fd directory = TRY(sys::open(to, O_RDONLY | O_DIRECTORY));
    auto content = storage::produce([&from](storage::Sink& sink) {
        return storage::tar_tree(from, sink, {.nanoseconds = true});
    });
    TRY(storage::untar_into(directory, "/", *content));
    if (::fchown(directory.raw(), status.st_uid, status.st_gid) < 0) return fail_errno("chown");
    if (::fchmod(directory.raw(), status.st_mode & 07777) < 0) return fail_errno("chmod");
    return {};
}

/// A new volume starts with what the image has at its place: all of it, or the start fails and the
/// next one begins anew.
Result<void> fill_volume(Context& context, const PlannedMount& mount, const VolumeRecord& volume,
                         FdView root) {
    const auto image_directory = sys::open_in_root(root, mount.target, O_RDONLY | O_DIRECTORY);
    if (!image_directory) return context.volumes.mark_filled(mount.name);  // nothing is there
    const auto options = TRY(parse_volume_options(volume.options));
    if (options.device) {
        // What is mounted cannot be replaced.
        TRY(copy_directory(*image_directory, context.volumes.mountpoint(mount.name)));
        return context.volumes.mark_filled(mount.name);
    }
    const std::string prepared = TRY(context.volumes.prepare(options.size));
    Rollback end;
    end.add([&] { context.volumes.discard(prepared); });
    TRY(copy_directory(*image_directory, prepared + "/_data"));
    return context.volumes.fill(mount.name, prepared);
}

Result<VolumeStore::Made> ensure_volume(Context& context, const PlannedMount& mount) {
    VolumeRecord wanted{
        .name = mount.name, .labels = mount.volume_labels, .options = mount.volume_options};
    if (mount.anonymous) wanted.labels[std::string(anonymous_volume_label)] = "";
    auto made = TRY(context.volumes.create(std::move(wanted)));
    if (made.made)
        context.events.publish(make_event("volume", "create", mount.name, {{"driver", "local"}}));
    return made;
}

Result<std::string> volume_source(Context& context, const ContainerSpec& spec,
                                  const PlannedMount& mount, FdView root) {
    const auto made = TRY(ensure_volume(context, mount));
    TRY(context.volume_mounts.acquire(made.volume, spec.id));
    std::string mountpoint = context.volumes.mountpoint(mount.name);
    if (!made.volume.filled) {
        const bool wanted = !mount.no_copy && TRY(sys::list_directory(mountpoint)).empty();
        auto used = wanted ? fill_volume(context, mount, made.volume, root)
                           : context.volumes.mark_filled(mount.name);
        TRY(std::move(used).context("fill volume " + mount.name));
    }
    context.events.publish(make_event("volume", "mount", mount.name,
                                      {{"container", spec.id},
                                       {"destination", mount.target},
                                       {"driver", "local"},
                                       {"propagation", ""},
                                       {"read/write", mount.read_only ? "false" : "true"}}));
    return mountpoint;
}

Result<std::string> bind_source(const PlannedMount& mount) {
    if (sys::exists(mount.source)) return mount.source;
    if (!mount.create_source)
        return fail(ErrorKind::invalid,
                    "invalid mount config for type \"bind\": bind source path does not exist: {}",
                    mount.source);
    TRY(sys::make_directories(mount.source));
    return mount.source;
}

}  // namespace

Result<std::vector<std::string>> create_volumes(Context& context, const ContainerSpec& spec) {
    std::vector<std::string> made;
    Rollback undo;
    undo.add([&] {
        for (const auto& name : made) context.volumes.remove(name).ignore();
    });
    for (const auto& mount : spec.mounts)
        if (mount.type == "volume" && TRY(ensure_volume(context, mount)).made)
            made.push_back(mount.name);
    undo.commit();
    return made;
}

void publish_volume_unmounts(Context& context, const ContainerSpec& spec) {
    for (const auto& mount : spec.mounts)
        if (mount.type == "volume")
            context.events.publish(make_event("volume", "unmount", mount.name,
                                              {{"container", spec.id}, {"driver", "local"}}));
}

Result<Fd> open_volume_subpath(FdView volume, const std::string& subpath) {
    return sys::open_in_root(volume, subpath, O_PATH).context("volume subpath");
}

Result<std::vector<ResolvedMount>> mount_sources(Context& context, const ContainerSpec& spec,
                                                 FdView root) {
    std::vector<ResolvedMount> out;
    for (const auto& mount : spec.mounts) {
        ResolvedMount resolved{.plan = mount, .source = {}, .object = {}};
        if (mount.type == "volume")
            resolved.source = TRY(volume_source(context, spec, mount, root));
        if (!mount.subpath.empty()) {
            const Fd volume = TRY(sys::open(resolved.source, O_PATH | O_DIRECTORY));
            resolved.object = TRY(open_volume_subpath(volume, mount.subpath));
        }
        if (mount.type == "bind") resolved.source = TRY(bind_source(mount));
        out.push_back(std::move(resolved));
    }
    return out;
}

namespace {
std::string shared_memory_directory(Context& context, const std::string& id) {
    return context.config.exec_root + "/shm/" + id;
}
}  // namespace

Result<std::string> shared_memory_source(Context& context, const ContainerSpec& spec) {
    if (is_container_mode(spec.host.ipc_mode)) {
        const auto other = TRY(running_container(context, container_of_mode(spec.host.ipc_mode)));
        if (other->spec()->host.ipc_mode != "shareable")
            return fail(ErrorKind::conflict,
                        "can't join IPC of container {}: non-shareable IPC (hint: use "
                        "IpcMode:shareable for the donor container)",
                        other->id());
        return shared_memory_directory(context, other->id());
    }
    if (spec.host.ipc_mode != "shareable") return std::string();
    std::string directory = shared_memory_directory(context, spec.id);
    drop_shared_memory(context, spec.id);
    TRY(sys::make_directories(directory, 0700));
    const std::string options = fmt::format("mode=1777,size={}", spec.host.shm_size);
    if (::mount("shm", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                options.c_str()) < 0)
        return fail_errno("mount shared memory at {}", directory);
    return directory;
}

void drop_shared_memory(Context& context, const std::string& container_id) {
    const std::string directory = shared_memory_directory(context, container_id);
    if (!sys::exists(directory)) return;
    // EINVAL: a crash came between the directory and the mount.
    if (::umount2(directory.c_str(), MNT_DETACH) < 0 && errno != EINVAL)
        log::warning("unmount {}: {}, ignoring", directory, errno);
    ::rmdir(directory.c_str());
}

}  // namespace corten::engine
