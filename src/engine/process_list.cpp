#include "process_list.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/sysmacros.h>

#include <unistd.h>

#include <algorithm>
#include <sstream>

namespace corten::engine {

namespace {

/// Fields of /proc/PID/stat after the command's name, which may hold anything but ends with ')'.
std::vector<std::string> stat_fields(const std::string& text) {
    const auto end = text.rfind(')');
    if (end == std::string::npos || end + 2 > text.size()) return {};
    return split(trim(std::string_view(text).substr(end + 2)), ' ');
}

std::string terminal_name(std::int64_t device) {
    const auto number = static_cast<dev_t>(device);
    const unsigned kind = major(number);
    if (kind >= 136 && kind <= 143)
        return fmt::format("pts/{}", (kind - 136) * 256 + minor(number));
    if (kind == 4) return fmt::format("tty{}", minor(number));
    return "?";
}

Result<std::int64_t> boot_time() {
    for (const auto& line : split(TRY(sys::read_file("/proc/stat")), '\n'))
        if (line.starts_with("btime "))
            return parse_integer(trim(std::string_view(line).substr(6)), "btime");
    return fail(ErrorKind::unsupported, "/proc/stat has no btime");
}

std::string command_of(pid_t pid, const std::string& stat) {
    auto text = sys::read_file(fmt::format("/proc/{}/cmdline", pid)).value_or("");
    while (!text.empty() && text.back() == '\0') text.pop_back();
    std::ranges::replace(text, '\0', ' ');
    if (!text.empty()) return text;
    const auto open = stat.find('(');
    const auto close = stat.rfind(')');
    if (open == std::string::npos || close == std::string::npos) return "[?]";
    return "[" + stat.substr(open + 1, close - open - 1) + "]";
}

void read_status(pid_t pid, ProcessInfo& info) {
    const auto text = sys::read_file(fmt::format("/proc/{}/status", pid));
    if (!text) return;  // it ended; what stat said stays true
    for (const auto& line : split(*text, '\n')) {
        std::istringstream words(line);
        std::string key;
        words >> key;
        if (key == "Uid:") {
            std::uint32_t real = 0;
            words >> real >> info.uid;
        } else if (key == "NSpid:") {
            for (pid_t number = 0; words >> number;) info.inner_pid = number;
        }
    }
}

}  // namespace

Result<std::vector<ProcessInfo>> read_processes(const std::vector<pid_t>& pids) {
    const auto booted = TRY(boot_time());
    const auto ticks = ::sysconf(_SC_CLK_TCK);
    std::vector<ProcessInfo> out;
    for (const auto pid : pids) {
        const auto stat = sys::read_file(fmt::format("/proc/{}/stat", pid));
        const auto fields = stat ? stat_fields(*stat) : std::vector<std::string>();
        if (fields.size() < 20) continue;  // it ended meanwhile
        const auto number = [&](std::size_t i) {
            return parse_integer(fields[i], "stat").value_or(0);
        };
        ProcessInfo info;
        info.pid = pid;
        info.parent = static_cast<pid_t>(number(1));
        info.terminal = terminal_name(number(4));
        info.cpu_ticks = static_cast<std::uint64_t>(number(11) + number(12));
        info.started = booted + number(19) / ticks;
        info.command = command_of(pid, *stat);
        read_status(pid, info);
        out.push_back(std::move(info));
    }
    std::ranges::sort(out, {}, &ProcessInfo::pid);
    return out;
}

}  // namespace corten::engine
