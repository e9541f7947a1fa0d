// kill, delete, pause, resume.
#include "commands.hpp"
#include "store.hpp"

#include <base/text.hpp>
#include <sys/poll.hpp>

#include <signal.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <thread>

namespace corten::runtime_cli {
namespace {

/// "9", "KILL", "SIGKILL", "RTMIN+3".
Result<int> parse_signal(std::string_view text) {
    if (const auto number = parse_integer(text, "signal")) {
        if (*number < 0 || *number > SIGRTMAX)
            return fail(ErrorKind::invalid, "invalid signal {}", text);
        return static_cast<int>(*number);
    }
    std::string name(text);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return ::toupper(c); });
    if (name.starts_with("SIG")) name.erase(0, 3);
    if (name.starts_with("RTMIN") || name.starts_with("RTMAX")) {
        const auto offset =
            name.size() > 5 ? TRY(parse_integer(
                                  std::string_view(name).substr(name[5] == '+' ? 6 : 5), "signal"))
                            : 0;
        const auto number = (name.starts_with("RTMIN") ? SIGRTMIN : SIGRTMAX) + offset;
        if (number < SIGRTMIN || number > SIGRTMAX)
            return fail(ErrorKind::invalid, "invalid signal {}", text);
        return static_cast<int>(number);
    }
    for (int number = 1; number < 32; ++number) {
        const char* known = ::sigabbrev_np(number);
        if (known != nullptr && name == known) return number;
    }
    return fail(ErrorKind::invalid, "invalid signal {}", text);
}

/// Until the process is gone (a zombie counts), for at most ten seconds.
Result<void> wait_for_exit(const sys::PidRef& process) {
    const std::array<FdView, 1> ended{process.fd()};
    if (!TRY(sys::wait_readable(ended, std::chrono::seconds(10))))
        return fail(ErrorKind::conflict, "container init still running");
    return {};
}

/// SIGKILL to init takes its pid namespace along; without one of its own all processes are in the
/// group.
Result<void> kill_container(const Container& container) {
    const auto group = TRY(container.cgroup());
    if (group.valid()) TRY(group.thaw());
    const auto process = container.process();
    if (!process && process.error().kind() == ErrorKind::not_found) return {};
    if (!process) return process.error();
    process->signal(SIGKILL).ignore();  // it may have gone meanwhile
    return wait_for_exit(*process);
}

}  // namespace

Result<int> kill(const Global& global, const std::string& id, const std::string& signal, bool all) {
    const int number = TRY(parse_signal(signal));
    const auto container = TRY(Container::load(global, id));
    const auto group = TRY(container.cgroup());
    const auto spec = TRY(container.spec());
    const bool own_pids = oci::find_namespace(spec, "pid") != nullptr;
    if (all || (!own_pids && number == SIGKILL)) {
        if (group.valid()) {
            TRY(group.kill_all(number));
            return 0;
        }
        if (all && container.had_cgroup()) return 0;
        if (all) return fail(ErrorKind::conflict, "container has no cgroup to look in");
    }
    const auto process = TRY(container.process());
    TRY(process.signal(number));
    // A frozen process on v1 takes the signal only once it runs again.
    if (number == SIGKILL && group.valid()) group.thaw().ignore();
    return 0;
}

namespace {

/// What is left of a container whose record cannot be read, if anything.
Result<int> remove_anything(const Global& global, const std::string& id) {
    const auto removed = remove_half_made(global, id);
    if (removed || removed.error().kind() == ErrorKind::not_found) return 0;
    return removed.error();
}

}  // namespace

Result<int> remove(const Global& global, const std::string& id, bool force) {
    auto loaded = Container::load(global, id);
    if (!loaded && force) return remove_anything(global, id);
    const auto container = TRY(std::move(loaded));
    const auto status = TRY(container.status());
    // A process that was never started has done nothing yet, so it needs no --force.
    const bool harmless = status == Status::stopped || status == Status::created;
    if (!harmless && !force)
        return fail(ErrorKind::conflict, "cannot delete container {} that is not stopped: {}", id,
                    to_string(status));
    TRY(kill_container(container));
    TRY(container.destroy());
    return 0;
}

namespace {

Result<cgroup::Group> group_to_freeze(const Container& container) {
    auto group = TRY(container.cgroup());
    if (!group.valid()) return fail(ErrorKind::conflict, "container has no cgroup to freeze");
    return group;
}

}  // namespace

Result<int> pause(const Global& global, const std::string& id) {
    const auto container = TRY(Container::load(global, id));
    const auto status = TRY(container.status());
    if (status != Status::running && status != Status::created)
        return fail(ErrorKind::conflict, "container not running or created: {}", to_string(status));
    TRY(TRY(group_to_freeze(container)).freeze());
    return 0;
}

Result<int> resume(const Global& global, const std::string& id) {
    const auto container = TRY(Container::load(global, id));
    const auto group = TRY(group_to_freeze(container));
    if (TRY(group.freezer_state()) == cgroup::FreezerState::thawed)
        return fail(ErrorKind::conflict, "container not paused");
    TRY(group.thaw());
    return 0;
}

}  // namespace corten::runtime_cli
