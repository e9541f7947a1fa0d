#include "store.hpp"

#include <base/ids.hpp>
#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/hooks.hpp>
#include <sys/file.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

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
    if (::geteuid() != 0 && runtime_dir != nullptr)
        return std::string(runtime_dir) + "/corten-runtime";
    return "/run/corten-runtime";
}

std::uint64_t process_start_time(pid_t pid) {
    const auto text = sys::read_file(fmt::format("/proc/{}/stat", pid));
    if (!text) return 0;
    // The name in parentheses may contain anything, so fields are counted from its end.
    const auto close = text->rfind(')');
    if (close == std::string::npos || close + 2 > text->size()) return 0;
    const auto fields = split(std::string_view(*text).substr(close + 2), ' ');
    if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return 0;
    return static_cast<std::uint64_t>(parse_integer(fields[19], "start time").value_or(0));
}

Result<void> write_pid_file(const std::string& path, pid_t pid) {
    if (path.empty()) return {};
    return sys::write_file_atomic(path, fmt::to_string(pid)).context("--pid-file");
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

bool Container::is_alive() const {
    return record_.pid > 0 && process_start_time(record_.pid) == record_.pid_start_time;
}

Status Container::status() const {
    if (!is_alive()) return Status::stopped;
    if (sys::exists(start_socket())) return Status::created;
    const auto frozen = cgroup().freezer_state();
    if (frozen && *frozen != cgroup::FreezerState::thawed) return Status::paused;
    return Status::running;
}

Result<sys::PidRef> Container::process() const {
    auto process = sys::PidRef::open(record_.pid);
    // Looked at after the descriptor was taken, so that it is this process' start time.
    if (!process || !is_alive()) return fail(ErrorKind::not_found, "container not running");
    return process;
}

cgroup::Group Container::cgroup() const {
    if (record_.cgroup_path.empty()) return {};
    const auto layout = cgroup::Layout::detect();
    if (!layout) return {};
    auto group = cgroup::Group::open(*layout, record_.cgroup_path);
    return group ? std::move(*group) : cgroup::Group();
}

Result<oci::Spec> Container::spec() const {
    return oci::parse_spec(TRY(sys::read_file(directory_ + "/config.json")));
}

Result<void> Container::save_spec(const oci::Spec& spec) const {
    return sys::write_file_atomic(directory_ + "/config.json", dump_json(to_json(spec)), 0600);
}

oci::State Container::state() const {
    const auto now = status();
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

Result<void> Container::destroy(const std::vector<oci::Hook>& poststop) const {
    const auto group = cgroup();
    if (group.valid()) {
        TRY(group.kill_all());
        TRY(group.remove());
    }
    TRY(sys::remove_tree(directory_));
    if (poststop.empty()) return {};
    auto ended = state();
    ended.status = "stopped";
    ended.pid = 0;
    auto hooks = runtime::run_hooks(poststop, "poststop", ended);
    // The specification: an error of these is logged and the deletion goes on.
    if (!hooks) log_warning(hooks.error().message());
    return {};
}

namespace {

/// The group of a container whose making was cut short. Its process ends by itself, with its maker.
void remove_group_of(const std::string& directory, const std::string& id, bool complete) {
    const auto spec = oci::parse_spec(sys::read_file(directory + "/config.json").value_or(""));
    const auto layout = cgroup::Layout::detect();
    if (!spec || !layout) return;
    const auto& path = spec->linux_section.cgroups_path;
    const auto group = cgroup::Group::open(*layout, path.empty() ? "/" + id : path);
    if (!group) return;
    auto result = complete ? group->kill_all() : Result<void>();
    if (result) result = group->remove();
    if (!result) log_warning(result.error().message() + ", ignoring");
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

}  // namespace

Result<void> remove_half_made(const Global& global, const std::string& id) {
    TRY(check_id(id));
    const auto directory = directory_of(global, id);
    const auto lock = sys::open(directory, O_RDONLY | O_DIRECTORY);
    if (!lock) return fail(ErrorKind::not_found, "container does not exist");
    if (!TRY(sys::try_lock(*lock)))
        return fail(ErrorKind::conflict, "container {} is being created", id);
    remove_group_of(directory, id, sys::exists(directory + "/state.json"));
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
    if (!committed_) sys::remove_tree(directory()).ignore();  // the first error is the one to tell
}

Result<Container> Creation::commit(Record record) {
    container_.record_ = std::move(record);
    TRY(sys::write_file_atomic(directory() + "/state.json", dump_json(to_json(container_.record_)),
                               0600));
    committed_ = true;
    return container_;
}

}  // namespace corten::runtime_cli
