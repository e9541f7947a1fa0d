#include <runtime/hooks.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/process.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <functional>

namespace corten::runtime {
namespace {

constexpr std::size_t most_output = 4096;  // of what a hook wrote, in the error

/// A hook that names none has the runtime's, as runc and crun give it: it may look for programs.
std::vector<std::string> environment_of(const oci::Hook& hook) {
    if (!hook.env.empty()) return hook.env;
    std::vector<std::string> own;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
        own.emplace_back(*entry);
    return own;
}

sys::SpawnRequest request_for(const oci::Hook& hook, FdView in, FdView out) {
    sys::SpawnRequest request;
    request.program = hook.path;
    if (!hook.args.empty()) {
        request.argv0 = hook.args[0];
        request.arguments.assign(hook.args.begin() + 1, hook.args.end());
    }
    request.environment = environment_of(hook);
    request.fds = {{in, STDIN_FILENO}, {out, STDOUT_FILENO}, {out, STDERR_FILENO}};
    return request;
}

/// Not a pipe's worth to block on: a memory file holds the state, and another takes the output, so
/// that neither side waits for the other.
Result<Fd> file_with(const std::string& content) {
    Fd file = TRY(sys::memory_file("state"));
    TRY(sys::write_all(file, content));
    if (::lseek(file.raw(), 0, SEEK_SET) < 0) return fail_errno("seek");
    return file;
}

std::string output_of(FdView file) {
    char buffer[most_output];
    const ssize_t n = ::pread(file.raw(), buffer, sizeof buffer, 0);
    std::string text(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

/// "exit status 1, what it said", "bad system call".
std::string end_of(const sys::ExitStatus& status, const std::string& output) {
    auto text = fmt::format("exit status {}", status.code);
    if (status.signalled) {
        text = ::strsignal(status.code - 128);
        std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    }
    return output.empty() ? text : text + ", " + output;
}

Result<void> run_hook(const oci::Hook& hook, const std::string& state) {
    const Fd in = TRY(file_with(state));
    const Fd out = TRY(sys::memory_file("output"));
    auto child = TRY(sys::spawn(request_for(hook, in, out)));
    if (hook.timeout) {
        const std::array<FdView, 1> ended{child.process().fd()};
        // Longer than any hook runs, and short enough to be counted in milliseconds.
        constexpr std::int64_t longest = std::int64_t{1} << 32;
        const auto limit = std::chrono::seconds(std::min(*hook.timeout, longest));
        if (!TRY(sys::wait_readable(ended, limit)))
            // The child's destructor kills and reaps it.
            return fail(ErrorKind::io, "did not end within {} s", *hook.timeout);
    }
    const auto status = TRY(child.wait());
    if (status.code == 0) return {};
    return fail(ErrorKind::io, "{}", end_of(status, output_of(out)));
}

/// Runs them in order until `failed`, which is given each one's error, wants no more.
void run_until(const std::vector<oci::Hook>& hooks, std::string_view kind, const oci::State& state,
               const std::function<bool(Error)>& failed) {
    if (hooks.empty()) return;
    const auto text = dump_json(to_json(state));
    for (std::size_t i = 0; i < hooks.size(); ++i) {
        auto result = run_hook(hooks[i], text);
        if (result) continue;
        if (failed(std::move(result).error().context(
                fmt::format("error running {} hook #{}: {}", kind, i, hooks[i].path))))
            return;
    }
}

}  // namespace

Result<void> run_hooks(const std::vector<oci::Hook>& hooks, std::string_view kind,
                       const oci::State& state) {
    Result<void> result;
    run_until(hooks, kind, state, [&](Error error) {
        result = std::move(error);
        return true;
    });
    return result;
}

std::vector<Error> run_every_hook(const std::vector<oci::Hook>& hooks, std::string_view kind,
                                  const oci::State& state) {
    std::vector<Error> errors;
    run_until(hooks, kind, state, [&](Error error) {
        errors.push_back(std::move(error));
        return false;
    });
    return errors;
}

}  // namespace corten::runtime
