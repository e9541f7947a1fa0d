#include "criu.hpp"

#include "log.hpp"

#include <base/rollback.hpp>
#include <base/text.hpp>
#include <runtime/restore_root.hpp>
#include <sys/clone.hpp>
#include <sys/file.hpp>
#include <sys/mount.h>
#include <sys/mount.hpp>
#include <sys/poll.hpp>
#include <sys/socket.hpp>
#include <sys/stat.h>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <map>

namespace corten::runtime_cli {
namespace {

// Of rpc.proto: criu_req, criu_resp and criu_notify.
constexpr int request_type = 1, request_options = 2, request_notify_success = 3;
constexpr int response_success = 2, response_restore = 4, response_notify = 5, response_errno = 7,
              response_message = 9, response_version = 10;
constexpr std::uint64_t type_notify = 6, type_version = 10;
constexpr int socket_in_criu = 3;
constexpr std::uint64_t oldest_version = 31500;  // the first with v2's freezer and named pid spaces
constexpr std::size_t lines_of_log = 5;

Result<std::string> find_criu() {
    const char* path = ::getenv("PATH");
    const std::string places = path != nullptr ? path : "";
    for (const auto& place : split(places + ":/usr/sbin:/usr/local/sbin:/sbin", ':')) {
        auto program = place + "/criu";
        if (place.starts_with('/') && ::access(program.c_str(), X_OK) == 0) return program;
    }
    return fail(ErrorKind::unsupported, "there is no criu in the PATH: install the package criu");
}

std::vector<std::string> own_environment() {
    std::vector<std::string> all;
    for (char** entry = environ; *entry != nullptr; ++entry) all.emplace_back(*entry);
    return all;
}

/// The end of what criu logged, from its errors on when it names any.
std::string end_of_log(const std::string& path) {
    auto lines = split(trim(sys::read_file(path).value_or("")), '\n');
    auto errors = lines;
    std::erase_if(errors, [](const std::string& line) { return line.find("Error") == line.npos; });
    auto& shown = errors.empty() ? lines : errors;
    if (shown.size() > lines_of_log)
        shown.erase(shown.begin(), shown.end() - static_cast<std::ptrdiff_t>(lines_of_log));
    return join(shown, "; ");
}

/// A mount namespace for criu alone, in which the root directory is a mount. We step back when this
/// ends; the namespace lasts as long as criu.
class Detour {
public:
    Result<std::string> enter(const std::string& root) {
        own_ = TRY(sys::open("/proc/self/ns/mnt", O_RDONLY));
        here_ = TRY(sys::open(".", O_PATH | O_DIRECTORY));
        TRY(sys::unshare_namespaces(CLONE_NEWNS));
        away_ = true;
        TRY(sys::set_propagation("/", MS_REC | MS_SLAVE));
        // Onto itself: it has to be a mount, and its parent must be in view.
        TRY(sys::mount_at(root, root, "", MS_BIND | MS_REC));
        TRY(sys::set_propagation(root, MS_REC | MS_PRIVATE));
        return root;
    }
    Result<void> leave() {
        if (!std::exchange(away_, false)) return {};
        TRY(sys::enter_namespaces(own_, CLONE_NEWNS));
        if (::fchdir(here_.raw()) < 0) return fail_errno("return to the working directory");
        return {};
    }
    ~Detour() { leave().ignore(); }

private:
    Fd own_;
    Fd here_;
    bool away_ = false;
};

class Session {
public:
    static Result<Session> start(const CriuRequest& request);
    Result<void> send(const MessageWriter& message) {
        return sys::send_message(socket_, message.bytes());
    }
    Result<MessageReader> receive(std::vector<Fd>* fds = nullptr);
    pid_t pid() const { return child_.process().pid(); }
    /// Directories are given to criu as descriptors of ours, opened where criu lives: it mounts in
    /// one, which the kernel allows only to whom it belongs.
    void add_directories(MessageWriter& options) const {
        constexpr int images_dir_fd = 1, work_dir_fd = 17;
        options.number(images_dir_fd, static_cast<std::uint64_t>(images_.raw()));
        options.number(work_dir_fd, static_cast<std::uint64_t>(work_.raw()));
    }
    /// Lets it end by itself.
    Result<void> finish() {
        socket_.reset();
        TRY(child_.wait());
        return {};
    }

private:
    sys::OwnedChild child_;
    Fd socket_;
    Fd images_;
    Fd work_;
};

Result<Session> Session::start(const CriuRequest& request) {
    Session session;
    auto [ours, theirs] = TRY(sys::socket_pair(sys::SocketType::seqpacket));
    sys::SpawnRequest spawn;
    spawn.program = TRY(find_criu());
    spawn.arguments = {"swrk", fmt::to_string(socket_in_criu)};
    spawn.environment = own_environment();
    spawn.fds = {{theirs, socket_in_criu}};
    if (request.pass_stdio)
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            spawn.fds.push_back({FdView(fd), fd});
    int next = socket_in_criu + 1;
    for (const auto& entry : request.inherited) spawn.fds.push_back({entry.fd, next++});
    Detour detour;
    if (!request.root.empty()) TRY(detour.enter(request.root).context("criu's root"));
    if (!request.images.empty()) {
        session.images_ =
            TRY(request.mapped_root != nullptr
                    ? runtime::open_as_mapped_root(request.images, *request.mapped_root)
                    : sys::open(request.images, O_RDONLY | O_DIRECTORY));
        session.work_ = TRY(sys::open(request.work, O_RDONLY | O_DIRECTORY));
    }
    session.child_ = TRY(sys::spawn(spawn).context(spawn.program));
    TRY(detour.leave());
    session.socket_ = std::move(ours);
    return session;
}

Result<MessageReader> Session::receive(std::vector<Fd>* fds) {
    auto message = TRY(sys::receive_message(socket_).context("criu"));
    if (message.end) return fail(ErrorKind::unavailable, "criu ended without an answer");
    if (fds != nullptr) *fds = std::move(message.fds);
    return MessageReader::parse(message.bytes);
}

MessageWriter request_of(std::uint64_t type) {
    MessageWriter request;
    request.number(request_type, type);
    return request;
}

/// Roots of the group's hierarchies, as the process in it has them: restored processes go there.
Result<void> add_group_roots(MessageWriter& options, pid_t pid) {
    constexpr int cg_root = 25, controller = 1, path = 2;
    const auto text = TRY(sys::read_file(fmt::format("/proc/{}/cgroup", pid)));
    for (const auto& line : split(trim(text), '\n')) {
        const auto [id, rest] = split_once(line, ':');
        const auto [names, where] = split_once(rest, ':');
        MessageWriter root;
        root.text(controller, names);
        root.text(path, where);
        options.message(cg_root, root);
    }
    return {};
}

void add_inherited(MessageWriter& options, const std::vector<CriuFd>& inherited) {
    constexpr int inherit_fd = 27, key = 1, fd = 2;
    int next = socket_in_criu + 1;
    for (const auto& entry : inherited) {
        MessageWriter message;
        message.text(key, entry.key);
        message.number(fd, static_cast<std::uint64_t>(next++));
        options.message(inherit_fd, message);
    }
}

Error criu_error(const MessageReader& response, const std::string& log) {
    const auto number = static_cast<int>(response.number(response_errno).value_or(0));
    auto said = end_of_log(log);
    if (said.empty()) said = response.text(response_message).value_or("it said nothing");
    return fail(ErrorKind::io, "criu failed{}: {} (log file: {})",
                number != 0 ? fmt::format(" with errno {}", number) : "", said, log);
}

Result<void> answer_stage(Session& session, const MessageReader& response, std::vector<Fd> fds,
                          const OnStage& on_stage) {
    constexpr int script = 1, pid = 2;
    const auto notify = TRY(response.message(response_notify));
    auto done = on_stage({notify.text(script).value_or(""),
                          static_cast<pid_t>(notify.number(pid).value_or(0)), std::move(fds)});
    auto answer = request_of(type_notify);
    answer.number(request_notify_success, done ? 1 : 0);
    TRY(session.send(answer));
    // Told of the failure, criu takes back what it has done, and says so.
    if (!done) session.receive().ignore();
    return done;
}

/// Until the response that is no stage.
Result<pid_t> converse(Session& session, const std::string& log, const OnStage& on_stage) {
    constexpr int restored_pid = 1;
    for (;;) {
        std::vector<Fd> fds;
        auto received = session.receive(&fds);
        if (!received && received.error().kind() == ErrorKind::unavailable)
            return fail(ErrorKind::io, "{}: {} (log file: {})", received.error().message(),
                        end_of_log(log), log);
        const auto response = TRY(std::move(received));
        if (response.number(response_success).value_or(0) == 0) return criu_error(response, log);
        if (response.number(request_type) != type_notify)
            return static_cast<pid_t>(
                TRY(response.message(response_restore)).number(restored_pid).value_or(0));
        TRY(answer_stage(session, response, std::move(fds), on_stage));
    }
}

/// The group's mount in a container without a cgroup namespace: v2's is one, v1's a set.
void add_cgroup_mounts(std::vector<ExternalMount>& all, const ExternalMount& top,
                       const cgroup::Group& group) {
    if (!group.directory("").empty()) {
        all.push_back({top.inside, top.key, group.directory("")});
        return;
    }
    const auto layout = cgroup::Layout::detect();
    if (!layout) return;
    for (const auto& hierarchy : layout->v1) {
        const auto name = hierarchy.mount_point.substr(hierarchy.mount_point.rfind('/'));
        all.push_back(
            {top.inside + name, top.key + name, group.directory(hierarchy.controllers[0])});
    }
}

/// Where the specification mounts something on a device's place, no node is made.
void add_host_nodes(std::vector<ExternalMount>& all, const oci::Spec& spec) {
    for (const auto& path : runtime::device_paths(spec))
        if (std::ranges::find(all, path, &ExternalMount::inside) == all.end())
            all.push_back({path, fmt::format("devices[{}]", path), path});
}

/// CRIU knows a mount by where it is: of two at one place it would take one for the other, and with
/// that its source and its rights.
Result<void> refuse_shared_places(const std::vector<ExternalMount>& all) {
    std::map<std::string_view, std::string_view> places;
    for (const auto& mount : all) {
        const auto [other, fresh] = places.emplace(mount.inside, mount.key);
        if (!fresh)
            return fail(ErrorKind::unsupported,
                        "{} and {} are both on {} in the root: criu cannot tell them apart",
                        other->second, mount.key, mount.inside);
    }
    return {};
}

}  // namespace

Result<void> check_criu() {
    auto session = TRY(Session::start({}));
    TRY(session.send(request_of(type_version)));
    const auto response = TRY(session.receive());
    const auto version = TRY(response.message(response_version));
    const auto number = version.number(1).value_or(0) * 10000 +
                        version.number(2).value_or(0) * 100 + version.number(4).value_or(0);
    TRY(session.finish());
    if (number >= oldest_version) return {};
    return fail(ErrorKind::unsupported, "criu {}.{} is too old: 3.15 is needed",
                version.number(1).value_or(0), version.number(2).value_or(0));
}

Result<void> check_can_criu(const oci::Spec& spec) {
    const auto* user = oci::find_namespace(spec, "user");
    if (user != nullptr && !user->path.empty())
        return fail(ErrorKind::unsupported,
                    "a container in the user namespace of another cannot be checkpointed: criu "
                    "makes a new one");
    if (oci::find_namespace(spec, "mount") == nullptr)
        return fail(ErrorKind::unsupported,
                    "a container without a mount namespace of its own "
                    "cannot be checkpointed");
    return {};
}

namespace {

/// The absolute path of a directory for images or the log.
Result<std::string> images_directory(const std::string& path, IfMissing missing) {
    if (missing == IfMissing::make && ::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
        return fail_errno("make {}", path);
    char absolute[PATH_MAX];
    if (::realpath(path.c_str(), absolute) == nullptr) return fail_errno("{}", path);
    return std::string(absolute);
}

Result<MessageWriter> common_options(const CriuOptions& options) {
    // criu_opts of rpc.proto.
    constexpr int ext_unix_sk = 4, tcp_established = 5, shell_job = 7, file_locks = 8,
                  log_level = 9, notify_scripts = 12, auto_dedup = 16, link_remap = 18,
                  manage_cgroups = 24, manage_cgroups_mode = 34, empty_ns = 38,
                  tcp_skip_in_flight = 46, lazy_pages = 48, orphan_pts_master = 50;
    static const std::vector<std::pair<std::string, std::uint64_t>> modes = {
        {"ignore", 0}, {"soft", 3}, {"full", 4}, {"strict", 5}};
    const auto mode =
        std::ranges::find(modes, options.manage_cgroups_mode, &decltype(modes)::value_type::first);
    if (mode == modes.end())
        return fail(ErrorKind::invalid,
                    "--manage-cgroups-mode: {} is none of soft, full, strict, "
                    "ignore",
                    options.manage_cgroups_mode);
    std::uint64_t empty = 0;
    for (const auto& name : options.empty_ns) {
        if (name != "network")
            return fail(ErrorKind::invalid, "--empty-ns: criu can only leave network empty, not {}",
                        name);
        empty |= CLONE_NEWNET;
    }
    MessageWriter out;
    out.number(ext_unix_sk, options.ext_unix_sk ? 1 : 0);
    out.number(tcp_established, options.tcp_established ? 1 : 0);
    out.number(shell_job, options.shell_job ? 1 : 0);
    out.number(file_locks, options.file_locks ? 1 : 0);
    out.number(log_level, 4);
    out.number(notify_scripts, 1);
    out.number(auto_dedup, options.auto_dedup ? 1 : 0);
    out.number(link_remap, options.link_remap ? 1 : 0);
    out.number(tcp_skip_in_flight, options.tcp_skip_in_flight ? 1 : 0);
    out.number(lazy_pages, options.lazy_pages ? 1 : 0);
    out.number(manage_cgroups, 1);
    out.number(manage_cgroups_mode, mode->second);
    out.number(empty_ns, empty);
    out.number(orphan_pts_master, 1);
    return out;
}

/// "" for none.
std::string file_of_options(const oci::Spec& spec) {
    const auto named = spec.annotations.find("org.criu.config");
    if (named != spec.annotations.end()) return named->second;
    constexpr const char* usual = "/etc/criu/runc.conf";
    return sys::exists(usual) ? usual : "";
}

}  // namespace

Result<CriuRequest> begin_request(CriuAction action, const CriuOptions& options,
                                  const oci::Spec& spec, IfMissing images,
                                  std::string_view log_file) {
    CriuRequest request;
    request.action = action;
    const bool told = !options.image_path.empty();
    request.images = TRY(images_directory(told ? options.image_path : "checkpoint", images));
    request.work = options.work_path.empty()
                       ? request.images
                       : TRY(images_directory(options.work_path, IfMissing::make));
    request.log_file = log_file;
    request.options = TRY(common_options(options));
    constexpr int config_file = 51;  // of criu_opts in rpc.proto
    const auto file = file_of_options(spec);
    if (!file.empty()) request.options.text(config_file, file);
    return request;
}

void add_external_mount(MessageWriter& options, std::string_view key, std::string_view value) {
    constexpr int ext_mnt = 23;  // of criu_opts in rpc.proto
    MessageWriter mount;
    mount.text(1, key);
    mount.text(2, value);
    options.message(ext_mnt, mount);
}

Result<pid_t> run_criu(CriuRequest request, const OnStage& on_stage) {
    auto session = TRY(Session::start(request));
    if (request.group.valid()) {
        TRY(request.group.add(session.pid()));
        TRY(add_group_roots(request.options, session.pid()));
    }
    constexpr int log_file = 10;
    request.options.text(log_file, request.log_file);
    session.add_directories(request.options);
    add_inherited(request.options, request.inherited);
    auto message = request_of(static_cast<std::uint64_t>(request.action));
    message.message(request_options, request.options);
    TRY(session.send(message));
    const auto pid = TRY(converse(session, request.work + "/" + request.log_file, on_stage));
    TRY(session.finish());
    return pid;
}

namespace {

/// criu wants no "." and ".." in it. As it is when there is nothing (any more).
std::string real_path(const std::string& path) {
    char real[PATH_MAX];
    return ::realpath(path.c_str(), real) == nullptr ? path : real;
}

}  // namespace

Result<std::vector<ExternalMount>> external_mounts(const oci::Spec& spec,
                                                   const runtime::BundleRoot& root,
                                                   const cgroup::Group& group) {
    std::vector<ExternalMount> all;
    const bool own_view = oci::find_namespace(spec, "cgroup") != nullptr;
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        const auto& mount = spec.mounts[i];
        ExternalMount found{TRY(runtime::resolved_destination(root.path, mount.destination)),
                            fmt::format("mounts[{}]", i),
                            real_path(runtime::bind_source(mount, root.bundle))};
        if (mount.type.starts_with("cgroup") && !own_view)
            add_cgroup_mounts(all, found, group);
        else if (runtime::is_bind(mount))
            all.push_back(std::move(found));
    }
    TRY(refuse_shared_places(all));
    if (oci::find_namespace(spec, "user") != nullptr) add_host_nodes(all, spec);
    return all;
}

std::vector<std::pair<std::string, std::string>> external_namespaces(const oci::Spec& spec) {
    std::vector<std::pair<std::string, std::string>> found;
    for (const auto& space : spec.linux_section.namespaces) {
        if (space.path.empty()) continue;
        if (space.type == "network") found.emplace_back("net", space.path);
        if (space.type == "pid") found.emplace_back("pid", space.path);
    }
    return found;
}

std::string namespace_key(std::string_view type) {
    return type == "net" ? "extRootNetNS" : "extRootPidNS";
}

}  // namespace corten::runtime_cli
