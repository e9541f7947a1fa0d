// The last steps before execve: descriptors, directory, environment, user, filter. All of this runs
// in the new process with the container's root as "/".
#include "process_plan.hpp"
#include "root.hpp"
#include "seccomp_load.hpp"

#include <base/text.hpp>
#include <sys/descriptors.hpp>
#include <sys/file.hpp>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ranges>
#include <set>

namespace corten::runtime {
namespace {

constexpr std::string_view default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t passwd_limit = 8 << 20;

/// The container's own, whose mode and owner are its business, and not the host's. It may have
/// replaced it by anything, and we still have all capabilities: no link is followed and no FIFO or
/// terminal waited for.
Result<Fd> open_null() {
    const auto wrong = [] {
        return fail(ErrorKind::forbidden, "stdio: /dev/null of the container is no null device");
    };
    auto opened = sys::open("/dev/null", O_RDWR | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (!opened && opened.error().number() == ELOOP) return wrong();
    Fd null = TRY(std::move(opened).context("stdio"));
    struct ::stat info{};
    if (::fstat(null.raw(), &info) < 0) return fail_errno("stdio: /dev/null");
    if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3)) return wrong();
    if (::fcntl(null.raw(), F_SETFL, 0) < 0) return fail_errno("stdio: /dev/null");
    return null;
}

/// Ends at once: the null device, or a pipe without a writer where the container has none.
Result<Fd> open_nothing_to_read() {
    if (auto null = open_null()) return std::move(*null);
    return std::move(TRY(sys::pipe()).first);
}

Result<void> place(FdView from, int to) {
    if (!from.valid()) {
        const Fd null = TRY(to == STDIN_FILENO ? open_nothing_to_read() : open_null());
        if (::dup3(null.raw(), to, 0) < 0) return fail_errno("stdio: duplicate descriptor");
        return {};
    }
    if (from.raw() == to) {
        const int flags = ::fcntl(to, F_GETFD);
        if (flags < 0 || ::fcntl(to, F_SETFD, flags & ~FD_CLOEXEC) < 0)
            return fail_errno("stdio: keep descriptor {}", to);
        return {};
    }
    if (::dup3(from.raw(), to, 0) < 0) return fail_errno("stdio: duplicate descriptor");
    return {};
}

/// A target that is some other stream's source would be overwritten before its turn.
Result<Fd> move_away(FdView fd) {
    if (!fd.valid() || fd.raw() > STDERR_FILENO) return Fd();
    Fd copy(::fcntl(fd.raw(), F_DUPFD_CLOEXEC, 3));
    if (!copy) return fail_errno("stdio: duplicate descriptor");
    return copy;
}

/// Only pipes: a chown of a device or file would reach the host's (runc did it to /dev/null).
void give_pipe_to(int fd, uid_t uid) {
    struct ::stat info{};
    if (::fstat(fd, &info) < 0 || !S_ISFIFO(info.st_mode) || info.st_uid == uid) return;
    // Fails in a user namespace for a pipe made outside: then it stays as it is.
    (void)!::fchown(fd, uid, static_cast<gid_t>(-1));
}

const std::string* find_variable(const std::vector<std::string>& env, std::string_view name) {
    // The last one wins, as it does in a shell's environment.
    for (auto it = env.rbegin(); it != env.rend(); ++it)
        if (it->size() > name.size() && (*it)[name.size()] == '=' && it->starts_with(name))
            return &*it;
    return nullptr;
}

/// The image may have put anything there: a FIFO must not block us, a device not be read.
std::string read_passwd() {
    const auto file = sys::open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct ::stat info{};
    if (!file || ::fstat(file->raw(), &info) < 0 || !S_ISREG(info.st_mode)) return "";
    return sys::read_all(*file, passwd_limit).value_or("");
}

std::string lower(std::string text) {
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z')
        text[0] = static_cast<char>(text[0] + 32);
    return text;
}

/// Clients look for Go's spelling of these: "permission denied", "no such file or directory".
Error exec_error(const std::string& name, int number, std::string_view detail) {
    const auto kind = Error::from_errno(number, "").kind();
    return Error(kind, fmt::format("exec: \"{}\": {}", name, detail)).with_number(number);
}

Error exec_error(const std::string& name, int number) {
    return exec_error(name, number, lower(std::strerror(number)));
}

/// The kernel's answer, where the program itself was found (an interpreter may be missing).
Error execve_error(const std::string& name, int number) {
    const auto kind = Error::from_errno(number, "").kind();
    return Error(kind, fmt::format("exec {}: {}", name, lower(std::strerror(number))))
        .with_number(number);
}

/// 0 when it can be executed.
int check_executable(const std::string& path) {
    struct ::stat info{};
    if (::stat(path.c_str(), &info) < 0) return errno;
    if (S_ISDIR(info.st_mode)) return EISDIR;
    if (!S_ISREG(info.st_mode)) return EACCES;
    return (info.st_mode & 0111) != 0 ? 0 : EACCES;
}

Error not_executable(const std::string& name, int number) {
    if (number == EISDIR) return exec_error(name, EACCES, "is a directory: permission denied");
    if (number == ENOENT)
        return exec_error(name, ENOENT, fmt::format("stat {}: no such file or directory", name));
    return exec_error(name, number);
}

Result<std::string> search_path(const std::string& name, std::string_view path) {
    bool seen_but_forbidden = false;
    for (const auto& directory : split(path, ':')) {
        auto candidate = fmt::format("{}/{}", directory.empty() ? "." : directory, name);
        const int reason = check_executable(candidate);
        if (reason == 0) return candidate;
        seen_but_forbidden |= reason == EACCES;
    }
    if (seen_but_forbidden) return exec_error(name, EACCES, "permission denied");
    return exec_error(name, ENOENT, "executable file not found in $PATH");
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
    std::vector<char*> out;
    out.reserve(strings.size() + 1);
    for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

Result<void> change_ids(const oci::User& user) {
    std::vector<gid_t> groups(user.additional_gids.begin(), user.additional_gids.end());
    // EPERM: setgroups is denied in a user namespace that an ordinary user made.
    if (::setgroups(groups.size(), groups.data()) < 0 && (errno != EPERM || !groups.empty()))
        return fail_errno("process.user.additionalGids: set the groups");
    if (::setresgid(user.gid, user.gid, user.gid) < 0)
        return fail_errno("process.user.gid: become {}", user.gid);
    if (::setresuid(user.uid, user.uid, user.uid) < 0)
        return fail_errno("process.user.uid: become {}", user.uid);
    return {};
}

Result<void> change_user(const ProcessPlan& plan) {
    ::umask(plan.process.user.umask.value_or(0022));
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fail_errno("keep capabilities");
    TRY(limit_bounding_set(plan.capabilities.bounding));
    TRY(change_ids(plan.process.user));
    return set_capabilities(plan.capabilities);
}

Result<void> change_directory(const std::string& cwd) {
    // In-root and without magic links: "/proc/self/fd/7" must not be a way to a descriptor that
    // leads out (CVE-2024-21626).
    const Fd root = TRY(sys::open("/", O_PATH | O_DIRECTORY));
    const Fd directory = TRY(sys::open_in_root(root, cwd, O_PATH | O_DIRECTORY));
    if (::fchdir(directory.raw()) < 0) return fail_errno("chdir {}", cwd);
    char where[PATH_MAX];
    // The system call and not glibc's: it tells "(unreachable)" when we are outside of the root.
    const long n = ::syscall(SYS_getcwd, where, sizeof where);
    if (n < 0 && errno != ENAMETOOLONG) return fail_errno("getcwd");
    if (n > 0 && where[0] != '/')
        return fail(ErrorKind::forbidden, "process.cwd: {} is outside of the container's root",
                    cwd);
    return {};
}

}  // namespace

Result<void> apply_stdio(const Stdio& stdio, const oci::User& user) {
    const Fd in = TRY(move_away(stdio.in));
    const Fd out = TRY(move_away(stdio.out));
    const Fd err = TRY(move_away(stdio.err));
    TRY(place(in ? FdView(in) : stdio.in, STDIN_FILENO));
    TRY(place(out ? FdView(out) : stdio.out, STDOUT_FILENO));
    TRY(place(err ? FdView(err) : stdio.err, STDERR_FILENO));
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) give_pipe_to(fd, user.uid);
    return {};
}

namespace {

/// From `first` on, without `end`.
Result<void> close_descriptors(unsigned first, unsigned end) {
    if (first >= end) return {};
    return sys::close_range(first, end - 1);
}

}  // namespace

Result<void> seal_descriptors(int preserved, std::vector<int> kept) {
    const int first = STDERR_FILENO + 1 + preserved;
    for (int fd = STDERR_FILENO + 1; fd < first; ++fd)
        if (::fcntl(fd, F_SETFD, 0) < 0) return fail_errno("preserve descriptor {}", fd);
    std::ranges::sort(kept);
    auto from = static_cast<unsigned>(first);
    for (const int fd : kept) {
        if (fd < static_cast<int>(from)) continue;
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return fail_errno("keep descriptor {}", fd);
        TRY(close_descriptors(from, static_cast<unsigned>(fd)));
        from = static_cast<unsigned>(fd) + 1;
    }
    return close_descriptors(from, ~0U);
}

Result<void> enter_cwd(ProcessPlan& plan) {
    auto result = change_directory(plan.process.cwd);
    // root without CAP_DAC_OVERRIDE over it (user namespaces, NFS): its user may still enter.
    if (!result && result.error().number() == EACCES && !plan.cwd_deferred) {
        plan.cwd_deferred = true;
        return {};
    }
    if (!result) return std::move(result).context("process.cwd");
    plan.cwd_deferred = false;
    return {};
}

/// A name that stands twice would have one value in a shell and the other in a program that takes
/// the first.
void keep_last_of_each_name(std::vector<std::string>& env) {
    std::set<std::string> seen;
    std::vector<std::string> kept;
    for (auto& entry : std::views::reverse(env))
        if (seen.emplace(split_once(entry, '=').first).second) kept.push_back(std::move(entry));
    std::ranges::reverse(kept);
    env = std::move(kept);
}

/// name:password:uid:gid:gecos:home:shell. Only the number counts: a user whose *name* is a number
/// is nobody's uid.
std::string home_of(uid_t uid, std::string_view passwd) {
    for (const auto& line : split(passwd, '\n')) {
        const auto fields = split(line, ':');
        if (fields.size() < 6) continue;
        const auto number = parse_integer(fields[2], "uid");
        if (number && *number == uid) return fields[5];
    }
    return "";
}

void complete_environment(ProcessPlan& plan) {
    auto& env = plan.process.env;
    keep_last_of_each_name(env);
    const auto* home = find_variable(env, "HOME");
    if (home != nullptr && home->size() > 5) return;
    std::erase_if(env, [](const std::string& entry) { return entry.starts_with("HOME="); });
    auto directory = home_of(plan.process.user.uid, read_passwd());
    env.push_back("HOME=" + (directory.empty() ? std::string("/") : directory));
}

Result<void> find_program(ProcessPlan& plan) {
    const auto& name = plan.process.args[0];
    if (name.find('/') != std::string::npos) {
        plan.program = name;
        const int reason = check_executable(name);
        // EACCES may only be root's lack of rights (NFS): execve decides.
        if (reason == 0 || plan.cwd_deferred) return {};
        return not_executable(name, reason);
    }
    const auto* variable = find_variable(plan.process.env, "PATH");
    const auto path = variable != nullptr ? std::string_view(*variable).substr(5) : default_path;
    plan.program = TRY(search_path(name, path));
    return {};
}

Result<void> become_user(ProcessPlan& plan) {
    const bool no_new_privileges = plan.process.no_new_privileges;
    if (no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return fail_errno("process.noNewPrivileges");
    // Without no_new_privs a filter needs CAP_SYS_ADMIN, which the container may not have.
    if (plan.seccomp && !no_new_privileges) TRY(load_filter(plan));
    TRY(change_user(plan));
    if (plan.cwd_deferred) TRY(enter_cwd(plan));
    if (plan.seccomp && no_new_privileges) TRY(load_filter(plan));
    return {};
}

Error execute(const ProcessPlan& plan) {
    const auto arguments = pointers(plan.process.args);
    const auto environment = pointers(plan.process.env);
    ::execve(plan.program.c_str(), arguments.data(), environment.data());
    return execve_error(plan.process.args[0], errno);
}

}  // namespace corten::runtime
