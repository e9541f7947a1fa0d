// docker top: `ps -ef` of a container's processes. Other columns are the host's ps's business.
#include "context.hpp"
#include "process_list.hpp"

#include <base/text.hpp>
#include <engine/containers.hpp>
#include <sys/file.hpp>
#include <sys/process.hpp>

#include <cgroup/group.hpp>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

namespace corten::engine {

namespace {

std::string user_name(std::uint32_t uid) {
    passwd entry{};
    passwd* found = nullptr;
    char buffer[4096];
    if (::getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found)
        return found->pw_name;
    return std::to_string(uid);
}

/// "10:42" for today's, "Nov24" for older ones.
std::string start_text(std::int64_t started) {
    const std::time_t then = started;
    constexpr std::time_t day = 86400;  // seconds
    const std::time_t today = std::time(nullptr);
    std::tm tm{};
    ::localtime_r(&then, &tm);
    char text[16];
    std::strftime(text, sizeof text, today - then < day ? "%H:%M" : "%b%d", &tm);
    return text;
}

std::string cpu_time(std::uint64_t ticks) {
    const auto seconds = ticks / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string cpu_percent(const ProcessInfo& p) {
    const auto alive = std::max<std::int64_t>(std::time(nullptr) - p.started, 1);
    const auto used = p.cpu_ticks / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
    return std::to_string(used * 100 / static_cast<std::uint64_t>(alive));
}

apitypes::TopReply full_format(const std::vector<ProcessInfo>& processes) {
    apitypes::TopReply out;
    out.titles = {"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"};
    for (const auto& p : processes)
        out.processes.push_back({user_name(p.uid), std::to_string(p.pid), std::to_string(p.parent),
                                 cpu_percent(p), start_text(p.started), p.terminal,
                                 cpu_time(p.cpu_ticks), p.command});
    return out;
}

std::vector<std::string> words_of(std::string_view line) {
    std::vector<std::string> words;
    for (auto& word : split(line, ' '))
        if (!word.empty()) words.push_back(std::move(word));
    return words;
}

/// One line of ps: as many columns as titles, the last one takes the rest.
std::vector<std::string> columns_of(std::string_view line, std::size_t count) {
    auto words = words_of(line);
    while (words.size() > count) {
        words[count - 1] += " " + words[count];
        words.erase(words.begin() + static_cast<std::ptrdiff_t>(count));
    }
    return words;
}

Result<std::string> run_ps(const std::vector<std::string>& arguments) {
    const char* program = sys::exists("/usr/bin/ps") ? "/usr/bin/ps" : "/bin/ps";
    auto [out, in] = TRY(sys::pipe());
    auto child = TRY(sys::spawn({.program = program,
                                 .arguments = arguments,
                                 .environment = {"PATH=/usr/bin:/bin", "LC_ALL=C"},
                                 .fds = {{in, STDOUT_FILENO}, {in, STDERR_FILENO}},
                                 .argv0 = {}}));
    in.reset();
    std::string text = TRY(sys::read_all(out));
    if (TRY(child.wait()).code != 0) return fail(ErrorKind::invalid, "ps: {}", trim(text));
    return text;
}

Result<apitypes::TopReply> custom_format(std::string_view arguments,
                                         const std::vector<pid_t>& pids) {
    const std::string text = TRY(run_ps(words_of(arguments)));
    auto lines = split(text, '\n');
    apitypes::TopReply out;
    out.titles = words_of(lines[0]);
    const auto pid_column = std::ranges::find(out.titles, "PID") - out.titles.begin();
    if (pid_column == std::ssize(out.titles))
        return fail(ErrorKind::invalid, "Couldn't find PID field in ps output");
    for (std::size_t i = 1; i < lines.size(); ++i) {
        auto columns = columns_of(lines[i], out.titles.size());
        if (std::ssize(columns) <= pid_column) continue;
        const auto pid = parse_integer(columns[static_cast<std::size_t>(pid_column)], "pid");
        if (pid && std::ranges::find(pids, static_cast<pid_t>(*pid)) != pids.end())
            out.processes.push_back(std::move(columns));
    }
    return out;
}

}  // namespace

Result<apitypes::TopReply> Containers::top(std::string_view ref,
                                           std::string_view ps_arguments) const {
    const auto container = TRY(context_.containers.find(ref));
    const auto state = container->state();
    if (!state.is_running())
        return fail(ErrorKind::conflict, "container {} is not running", container->id());
    const auto group = TRY(cgroup::Group::open(context_.facts.cgroups, state.cgroup_path));
    const auto pids = TRY(group.processes());
    publish_container_event(context_, *container->spec(), "top");
    if (!ps_arguments.empty() && ps_arguments != "-ef") return custom_format(ps_arguments, pids);
    return full_format(TRY(read_processes(pids)));
}

}  // namespace corten::engine
