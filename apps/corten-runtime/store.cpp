#include "store.hpp"

#include "systemd_unit.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/hooks.hpp>
#include <runtime/rights.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/poll.hpp>
#include <sys/socket.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

namespace corten::runtime_cli {
namespace {

constexpr std::size_t longest_id = 1024;

std::string directory_of(const Global& global, std::string_view id) {
    return fmt::format("{}/{}", global.root, id);
}

}  // namespace

std::string_view to_string(Status status) {
    switch (status) {
        case Status::creating:
            return "creating";
        case Status::created:
            return "created";
        case Status::running:
            return "running";
        case Status::paused:
            return "paused";
        case Status::stopped:
            return "stopped";
    }
    return "stopped";
}

Result<void> check_id(std::string_view id) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '+' || c == '-' || c == '.';
    };
    if (id.empty()) return fail(ErrorKind::invalid, "container id cannot be empty");
    if (id.size() > longest_id || id == "." || id == ".." || !std::ranges::all_of(id, allowed))
        return fail(ErrorKind::invalid, "invalid container id format: \"{}\"", id.substr(0, 80));
    return {};
}

std::string default_root() {
    const char* runtime_dir = ::getenv("XDG_RUNTIME_DIR");
    // Root of a container has no such user's directory, though its variable may have come along.
    const char* user = ::getenv("USER");
    const bool of_user = ::geteuid() != 0 || user == nullptr || std::string_view(user) != "root";
    if (runtime_dir != nullptr && of_user && !runtime::is_host_root())
        return std::string(runtime_dir) + "/corten-runtime";
    return "/run/corten-runtime";
}

Result<std::uint64_t> process_start_time(pid_t pid) {
    constexpr std::uint64_t gone = 0;
    const auto text = sys::read_file(fmt::format("/proc/{}/stat", pid));
    // ESRCH: it ended while its file was open.
    if (!text && (text.error().number() == ENOENT || text.error().number() == ESRCH)) return gone;
    if (!text) return text.error();
    return start_time_in(*text).context(fmt::format("/proc/{}/stat", pid));
}

Result<std::uint64_t> start_time_in(std::string_view stat) {
    // The name in parentheses may contain anything, so fields are counted from its end.
    const auto fields = split(stat.substr(std::min(stat.rfind(')'), stat.size())), ' ');
    if (fields.size() < 21) return fail(ErrorKind::corrupt, "\"{}\"", stat);
    if (fields[1] == "Z" || fields[1] == "X") return std::uint64_t{0};
    return static_cast<std::uint64_t>(TRY(parse_integer(fields[20], "start time")));
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
    if (path.empty()) return {};
    return sys::write_file_atomic(path, fmt::to_string(pid)).context("--pid-file");
}

void remove_pid_file(const std::string& path) {
    if (!path.empty()) sys::remove_file(path).ignore();
}

Result<Container> Container::load(const Global& global, const std::string& id) {
    TRY(check_id(id));
    Container container;
    container.directory_ = directory_of(global, id);
    const auto text = sys::read_file(container.directory_ + "/state.json");
    if (!text && (text.error().number() == ENOENT || text.error().number() == ENOTDIR))
        return fail(ErrorKind::not_found, "container does not exist");
    if (!text) return text.error();
    container.record_ = TRY(parse_as<Record>(*text, "state.json"));
    return container;
}

Result<std::vector<std::string>> Container::ids(const Global& global) {
    auto names = sys::list_directory(global.root);
    if (!names && names.error().number() == ENOENT) return std::vector<std::string>();
    auto all = TRY(std::move(names));
    std::erase_if(all, [&](const std::string& name) {
        return !sys::exists(directory_of(global, name) + "/state.json");
    });
    std::ranges::sort(all);
    return all;
}

Result<bool> Container::is_alive() const {
    return record_.pid > 0 && TRY(process_start_time(record_.pid)) == record_.pid_start_time;
}

Result<bool> Container::awaits_start() const {
    const auto socket = sys::connect_unix(start_socket(), sys::SocketType::stream);
    if (socket) return true;
    const int number = socket.error().number();
    // ECONNREFUSED: started, by one who was killed before it could remove the socket.
    if (number == ENOENT || number == ECONNREFUSED) return false;
    return socket.error();
}

Result<Status> Container::status() const {
    if (!TRY(is_alive())) return Status::stopped;
    if (TRY(awaits_start())) return Status::created;
    const auto frozen = TRY(cgroup()).freezer_state();
    if (frozen) return *frozen == cgroup::FreezerState::thawed ? Status::running : Status::paused;
    // It ended while we looked, and whoever waited for that removed its group.
    return TRY(is_alive()) ? Result<Status>(frozen.error()) : Status::stopped;
}

Result<sys::PidRef> Container::process() const {
    auto process = sys::PidRef::open(record_.pid);
    // Looked at after the descriptor was taken, so that it is this process' start time.
    if (!process && process.error().kind() != ErrorKind::not_found) return process;
    if (!process || !TRY(is_alive())) return fail(ErrorKind::not_found, "container not running");
    return process;
}

Result<cgroup::Group> Container::cgroup() const {
    if (record_.cgroup_path.empty()) return cgroup::Group();
    const auto layout = TRY(cgroup::Layout::detect());
    auto group = cgroup::Group::open(layout, record_.cgroup_path);
    if (!group && group.error().kind() == ErrorKind::not_found) return cgroup::Group();
    return group;
}

Result<oci::Spec> Container::spec() const {
    return oci::parse_spec(TRY(sys::read_file(directory_ + "/config.json")));
}

Result<void> Container::save_spec(const oci::Spec& spec) const {
    return sys::write_file_atomic(directory_ + "/config.json", dump_json(to_json(spec)), 0600);
}

Result<oci::State> Container::state() const {
    return state_as(TRY(status()));
}

oci::State Container::state_as(Status now) const {
    return {.oci_version = record_.oci_version,
            .id = record_.id,
            .status = std::string(to_string(now)),
            .pid = now == Status::stopped ? 0 : record_.pid,
            .bundle = record_.bundle,
            .annotations = record_.annotations};
}

Result<void> Container::destroy() const {
    const auto text = sys::read_file(directory_ + "/config.json").value_or("");
    // Reading a configuration takes longer than the rest, and few have such hooks.
    if (text.find("poststop") == std::string::npos) return destroy({});
    const auto configuration = oci::parse_spec(text);
    const bool hooks = configuration && configuration->hooks;
    return destroy(hooks ? configuration->hooks->poststop : std::vector<oci::Hook>());
}

Result<void> take_mounts_away(const std::string& root) {
    const auto gone = sys::unmount_at(root, MNT_DETACH | UMOUNT_NOFOLLOW);
    // EINVAL: somebody did it by hand, or it is of another mount namespace than ours.
    if (gone || gone.error().number() == EINVAL || gone.error().number() == ENOENT) return {};
    return gone.error();
}

Result<void> Container::destroy(const std::vector<oci::Hook>& poststop) const {
    const auto group = TRY(cgroup());
    if (group.valid()) TRY(group.kill_all());
    // A scope whose processes systemd has ended is without a group, and is kept as one that failed.
    if (!record_.systemd_unit.empty()) TRY(stop_unit(record_.systemd_unit));
    TRY(group.remove());
    if (record_.mounts_on_host) TRY(take_mounts_away(record_.rootfs));
    // The record last: what is left after a failure can be deleted again.
    TRY(sys::remove_file(start_socket()));
    TRY(sys::remove_file(directory_ + "/config.json"));
    TRY(sys::remove_tree(directory_));
    for (const auto& error :
         runtime::run_every_hook(poststop, "poststop", state_as(Status::stopped)))
        log_warning(error.message());
    return {};
}

namespace {

constexpr const char* traces_file = "/traces.json";

Result<void> save_traces(const std::string& directory, const Traces& traces) {
    return sys::write_file_atomic(directory + traces_file, dump_json(to_json(traces)), 0600);
}

/// Nothing, for a maker that had not come to making anything.
Result<Traces> load_traces(const std::string& directory) {
    const auto text = sys::read_file(directory + traces_file);
    if (!text && text.error().number() == ENOENT) return Traces();
    return parse_as<Traces>(TRY(Result<std::string>(text)), "traces.json");
}

Traces traces_of(const Record& record) {
    return {.cgroup_path = record.cgroup_path,
            .systemd_unit = record.systemd_unit,
            .pid = record.pid,
            .pid_start_time = record.pid_start_time,
            .mounted_root = record.mounts_on_host ? record.rootfs : ""};
}

Result<void> kill_process(const Traces& traces) {
    auto process = sys::PidRef::open(traces.pid);
    if (!process && process.error().kind() == ErrorKind::not_found) return {};
    if (!process) return process.error();
    // Looked at after the descriptor was taken, so that it is this process' start time.
    if (TRY(process_start_time(traces.pid)) != traces.pid_start_time) return {};
    process->signal(SIGKILL).ignore();  // it may have gone meanwhile
    const std::array<FdView, 1> ended{process->fd()};
    if (TRY(sys::wait_readable(ended, std::chrono::seconds(10)))) return {};
    return fail(ErrorKind::conflict, "container init still running");
}

/// Whose making was cut short has no process: that ends by itself, with its maker. The group may
/// then be another's, who had it before.
Result<void> remove_traces(const Traces& traces) {
    cgroup::Group group;
    if (!traces.cgroup_path.empty()) {
        auto there = cgroup::Group::open(TRY(cgroup::Layout::detect()), traces.cgroup_path);
        if (!there && there.error().kind() != ErrorKind::not_found) return there.error();
        if (there) group = std::move(*there);
    }
    if (traces.pid != 0) {
        if (group.valid()) TRY(group.thaw());
        TRY(kill_process(traces));
        if (group.valid()) TRY(group.kill_all());
        if (!traces.systemd_unit.empty()) TRY(stop_unit(traces.systemd_unit));
    }
    TRY(group.remove());
    return traces.mounted_root.empty() ? Result<void>() : take_mounts_away(traces.mounted_root);
}

/// Made under another name, so that it is locked from the moment it has its own.
Result<Fd> make_locked(const Global& global, const std::string& directory) {
    const auto fresh = fmt::format("{}/.{}", global.root, random_hex(8));
    if (::mkdir(fresh.c_str(), 0711) < 0) return fail_errno("make {}", fresh);
    Rollback undo;
    undo.add([&] { ::rmdir(fresh.c_str()); });
    Fd lock = TRY(sys::open(fresh, O_RDONLY | O_DIRECTORY));
    TRY(sys::try_lock(lock));
    if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, directory.c_str(), RENAME_NOREPLACE) < 0) {
        if (errno == EEXIST)
            return fail(ErrorKind::conflict, "container with given ID already exists");
        return fail_errno("make {}", directory);
    }
    undo.commit();
    return lock;
}

/// False when it is still held after a while. A maker that was killed takes its half-made process
/// along, which holds the lock for a moment longer.
Result<bool> wait_for_lock(FdView lock) {
    constexpr auto patience = std::chrono::seconds(1);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!TRY(sys::try_lock(lock))) {
        if (std::chrono::steady_clock::now() >= deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace

Result<void> remove_half_made(const Global& global, const std::string& id) {
    TRY(check_id(id));
    const auto directory = directory_of(global, id);
    const auto lock = sys::open(directory, O_RDONLY | O_DIRECTORY);
    if (!lock) return fail(ErrorKind::not_found, "container does not exist");
    if (!TRY(wait_for_lock(*lock)))
        return fail(ErrorKind::conflict, "container {} is being created", id);
    const auto traces = TRY(load_traces(directory).context("what is left of a container"));
    auto removed = remove_traces(traces);
    // A group that is in use by now is not what a maker left that was cut short.
    if (!removed && traces.pid != 0) return removed;
    if (!removed) log_warning(removed.error().message() + ", ignoring");
    return sys::remove_tree(directory);
}

Result<Creation> Creation::begin(const Global& global, const std::string& id,
                                 std::string_view configuration) {
    TRY(check_id(id));
    TRY(sys::make_directories(global.root, 0711));
    const auto directory = directory_of(global, id);
    auto lock = make_locked(global, directory);
    const bool taken = !lock && lock.error().kind() == ErrorKind::conflict;
    if (taken && !sys::exists(directory + "/state.json") && remove_half_made(global, id))
        lock = make_locked(global, directory);
    Creation creation;
    creation.lock_ = TRY(std::move(lock));
    creation.container_.directory_ = directory;
    TRY(sys::write_file_atomic(directory + "/config.json", configuration, 0600));
    return creation;
}

Creation::~Creation() {
    if (!kept_) sys::remove_tree(directory()).ignore();  // the first error is the one to tell
}

Result<void> Creation::announce(const Traces& traces) {
    return save_traces(directory(), traces);
}

Result<Container> Creation::publish(Record record) {
    container_.record_ = std::move(record);
    TRY(save_traces(directory(), traces_of(container_.record_)));
    TRY(sys::write_file_atomic(directory() + "/state.json", dump_json(to_json(container_.record_)),
                               0600));
    return container_;
}

}  // namespace corten::runtime_cli
