#pragma once
// Makes the host's side of a container's mounts: volumes, missing bind sources, shared memory.
#include "context.hpp"
#include "spec_builder.hpp"

namespace corten::engine {

/// Records the volumes that a container names or brings along. Returns those that are new.
Result<std::vector<std::string>> create_volumes(Context& context, const ContainerSpec& spec);

/// `root` is the container's root file system, for filling a new volume with what the image has at
/// its place. Errors: invalid "bind source path does not exist: /x".
Result<std::vector<ResolvedMount>> mount_sources(Context& context, const ContainerSpec& spec,
                                                 FdView root);

/// Tells that a container's volumes are its own no more.
void publish_volume_unmounts(Context& context, const ContainerSpec& spec);

/// Where /dev/shm comes from when it is shared: a tmpfs of this container for --ipc shareable, the
/// other one's for --ipc container:X; empty for a private one.
Result<std::string> shared_memory_source(Context& context, const ContainerSpec& spec);
/// Takes back what shared_memory_source() mounted.
void drop_shared_memory(Context& context, const std::string& container_id);

/// O_PATH descriptor of what --mount volume-subpath names, found without leaving the volume. Its
/// path must not be used: other containers with the volume can put a link in its place.
Result<Fd> open_volume_subpath(FdView volume, const std::string& subpath);

Result<std::shared_ptr<Container>> running_container(Context& context, std::string_view ref);
/// A namespace ("pid", "ipc", "net", "mnt") of a running container's first process.
Result<Fd> open_namespace(const Container& container, std::string_view type);
/// The root directory of a running container with all that is mounted in it: that of its mount
/// namespace, as its first process may have made another directory its root.
Result<Fd> open_live_root(const Container& container);
/// The same without what is mounted in it, as a mount of its own.
Result<Fd> clone_live_root(const Container& container);

}  // namespace corten::engine
