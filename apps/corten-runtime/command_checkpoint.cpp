#include "commands.hpp"
#include "criu.hpp"
#include "log.hpp"
#include "store.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/restore_root.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

namespace corten::runtime_cli {
namespace {

constexpr std::string_view log_file = "dump.log";

// criu_opts of rpc.proto, those of a dump.
constexpr int pid_field = 2, leave_running_field = 3, root_field = 13, page_server_field = 11,
              parent_img_field = 14, track_mem_field = 15, external_field = 37,
              freeze_cgroup_field = 44;

std::string link_of(pid_t pid, int fd) {
    char text[PATH_MAX];
    const ssize_t n = ::readlink(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), text, sizeof text);
    return std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0);
}

/// criu's name for a file outside the container, which a standard stream may be:
/// "file[mount:inode]", both in hexadecimal.
Result<std::string> file_key(pid_t pid, int fd) {
    const auto info = TRY(sys::read_file(fmt::format("/proc/{}/fdinfo/{}", pid, fd)));
    const auto inode = TRY(sys::stat(fmt::format("/proc/{}/fd/{}", pid, fd))).st_ino;
    for (const auto& line : split(info, '\n'))
        if (line.starts_with("mnt_id:"))
            return fmt::format("file[{:x}:{:x}]",
                               TRY(parse_integer(trim(line.substr(7)), "mnt_id")), inode);
    return fail(ErrorKind::unsupported, "/proc/{}/fdinfo has no mnt_id", pid);
}

/// Whether a path's mount is in the process' own table: criu can find such a file again.
Result<bool> is_inside(pid_t pid, const std::string& key) {
    const auto mount = split_once(std::string_view(key).substr(5), ':').first;
    const auto table = TRY(sys::read_file(fmt::format("/proc/{}/mountinfo", pid)));
    return std::ranges::any_of(split(table, '\n'), [&](const std::string& line) {
        const auto id = parse_integer(split_once(line, ' ').first, "mount id");
        return id && fmt::format("{:x}", *id) == mount;
    });
}

/// What each standard stream is to criu: "pipe:[5]" and "file[1:2]" are given anew at the restore.
Result<std::vector<std::string>> standard_streams(pid_t pid) {
    std::vector<std::string> keys;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        auto& key = keys.emplace_back(link_of(pid, fd));
        if (!key.starts_with('/')) continue;
        key = TRY(file_key(pid, fd));
        if (TRY(is_inside(pid, key))) key.clear();
    }
    return keys;
}

/// A masked file has the host's /dev/null on it. The container's links lead nowhere but in its
/// root.
Result<void> add_masked_paths(MessageWriter& options, const oci::Spec& spec, pid_t pid) {
    const Fd root = TRY(sys::open(fmt::format("/proc/{}/root", pid), O_PATH | O_DIRECTORY));
    for (const auto& path : spec.linux_section.masked_paths) {
        const auto there = sys::open_in_root(root, path, O_PATH);
        struct ::stat info{};
        if (!there || ::fstat(there->raw(), &info) < 0 || S_ISDIR(info.st_mode)) continue;
        add_external_mount(options, path, masked_path_key);
    }
    return {};
}

/// "ADDRESS:PORT", where an IPv6 address may be in brackets.
Result<MessageWriter> page_server(const std::string& where) {
    constexpr int address_field = 1, port_field = 2;
    constexpr std::int64_t last_port = 65535;
    const auto colon = where.rfind(':');
    auto address = where.substr(0, colon);
    const auto port = parse_integer(
        colon == where.npos ? std::string_view() : std::string_view(where).substr(colon + 1),
        "--page-server");
    if (address.starts_with('[') && address.ends_with(']'))
        address = address.substr(1, address.size() - 2);
    if (!port || *port < 1 || *port > last_port || address.empty())
        return fail(ErrorKind::invalid, "--page-server: {} is not ADDRESS:PORT", where);
    MessageWriter server;
    server.text(address_field, address);
    server.number(port_field, static_cast<std::uint64_t>(*port));
    return server;
}

Result<void> add_dump_options(MessageWriter& options, const CheckpointOptions& asked,
                              const Container& container, const oci::Spec& spec) {
    const auto pid = container.record().pid;
    const auto group = TRY(container.cgroup());
    options.number(pid_field, static_cast<std::uint64_t>(pid));
    options.number(leave_running_field, asked.leave_running ? 1 : 0);
    options.text(root_field, container.record().rootfs);
    if (!asked.page_server.empty())
        options.message(page_server_field, TRY(page_server(asked.page_server)));
    if (!asked.parent_path.empty()) options.text(parent_img_field, asked.parent_path);
    if (!asked.parent_path.empty() || asked.pre_dump) options.number(track_mem_field, 1);
    if (const auto freezer = group.directory("freezer"); !freezer.empty())
        options.text(freeze_cgroup_field, freezer);
    for (const auto& [type, path] : external_namespaces(spec))
        options.text(external_field, fmt::format("{}[{}]:{}", type, TRY(sys::stat(path)).st_ino,
                                                 namespace_key(type)));
    if (asked.pre_dump) return {};
    const runtime::BundleRoot root{container.record().rootfs, container.record().bundle};
    for (const auto& mount : TRY(external_mounts(spec, root, group)))
        add_external_mount(options, mount.inside, mount.key);
    return add_masked_paths(options, spec, pid);
}

Result<void> check_parent(const CheckpointOptions& options, const std::string& images) {
    if (options.parent_path.empty()) return {};
    if (options.parent_path.starts_with('/'))
        return fail(ErrorKind::invalid,
                    "--parent-path: {} is absolute: give it relative to the "
                    "image path",
                    options.parent_path);
    const auto parent = images + "/" + options.parent_path;
    const auto found = TRY(sys::stat(parent).context("--parent-path"));
    if (S_ISDIR(found.st_mode)) return {};
    return fail(ErrorKind::invalid, "--parent-path: {} is no directory", parent);
}

/// Who waits at --status-fd is told by a zero byte that the pages can be had.
class StatusFd {
public:
    /// invalid when it cannot be written to.
    static Result<StatusFd> take(std::optional<int> number) {
        StatusFd status;
        if (!number) return status;
        const int flags = ::fcntl(*number, F_GETFL);
        if (flags < 0) return fail_errno("--status-fd: {} is not open", *number);
        if ((flags & O_ACCMODE) == O_RDONLY)
            return fail(ErrorKind::invalid, "--status-fd: {} is not open for writing", *number);
        status.fd_ = Fd(*number);
        return status;
    }
    /// The pages can be had even when nobody waits for the word.
    void tell_ready() {
        if (!fd_) return;
        const auto told = sys::write_all(fd_, std::string(1, '\0'));
        if (!told) log_warning("--status-fd: " + told.error().message());
        fd_.reset();
    }

private:
    Fd fd_;
};

/// Takes away what appears in the images' directory, but not the log.
void undo_images(Rollback& undo, const std::string& images) {
    const auto before = sys::list_directory(images).value_or({});
    undo.add([path = images, before] {
        for (const auto& name : sys::list_directory(path).value_or({}))
            if (name != log_file && std::ranges::find(before, name) == before.end())
                sys::remove_file(path + "/" + name).ignore();
    });
}

/// criu tells it when its lazy page server listens.
OnStage tell_when_ready(StatusFd& status) {
    return [&status](const CriuStage& stage) -> Result<void> {
        if (stage.name == "status-ready") status.tell_ready();
        return {};
    };
}

Result<void> dump(const CheckpointOptions& options, const Container& container,
                  const oci::Spec& spec, StatusFd status) {
    auto request = TRY(begin_request(options.pre_dump ? CriuAction::pre_dump : CriuAction::dump,
                                     options.criu, spec, IfMissing::make, log_file));
    TRY(check_parent(options, request.images));
    const auto group = TRY(container.cgroup());
    const bool was_paused = TRY(container.status()) == Status::paused;
    Rollback undo;
    undo_images(undo, request.images);
    undo.add([&] {
        if (!was_paused && group.valid()) group.thaw().ignore();  // criu froze it and is gone
    });
    TRY(add_dump_options(request.options, options, container, spec));
    if (!options.pre_dump) {
        const auto keys = TRY(standard_streams(container.record().pid));
        for (const auto& key : keys)
            if (key.starts_with("file[")) request.options.text(external_field, key);
        TRY(sys::write_file_atomic(fmt::format("{}/{}", request.images, descriptors_file),
                                   Json(keys).dump(), 0600));
    }
    TRY(run_criu(std::move(request), tell_when_ready(status)));
    undo.commit();
    return {};
}

}  // namespace

Result<int> checkpoint(const Global& global, const CheckpointOptions& options) {
    const auto container = TRY(Container::load(global, options.criu.id));
    const auto status = TRY(container.status());
    if (status != Status::running && status != Status::paused)
        return fail(ErrorKind::conflict, "container cannot be checkpointed: it is {}",
                    to_string(status));
    const auto spec = TRY(container.spec());
    if (options.status_fd && !options.criu.lazy_pages)
        return fail(ErrorKind::invalid, "--status-fd: it is for --lazy-pages, which is not there");
    auto status_fd = TRY(StatusFd::take(options.status_fd));
    ::signal(SIGPIPE, SIG_IGN);  // of a status-fd that nobody reads any more
    if (!options.page_server.empty()) TRY(page_server(options.page_server));
    TRY(check_can_criu(spec));
    TRY(check_criu());
    TRY(dump(options, container, spec, std::move(status_fd)));
    if (options.leave_running || options.pre_dump) return 0;
    TRY(container.destroy());
    return 0;
}

}  // namespace corten::runtime_cli
