#include "registry.hpp"

#include <sys/socket.h>

#include <pthread.h>

namespace corten::http {

using Clock = std::chrono::steady_clock;

Server::Shared::Id Server::Shared::enter(FdView socket) {
    std::lock_guard lock(mutex);
    const Id id = next++;
    entries[id] = {socket.raw(), "connecting", Clock::now()};
    // One that comes while all are told to end is told too.
    if (stopping) ::shutdown(socket.raw(), SHUT_RD);
    return id;
}

void Server::Shared::leave(Id id) {
    std::lock_guard lock(mutex);
    entries.erase(id);
    left.notify_all();
}

void Server::Shared::describe(Id id, std::string doing) {
    std::lock_guard lock(mutex);
    const auto entry = entries.find(id);
    if (entry == entries.end()) return;
    entry->second.doing = std::move(doing);
    entry->second.since = Clock::now();
}

void Server::Shared::release(Id id) {
    std::lock_guard lock(mutex);
    const auto entry = entries.find(id);
    if (entry != entries.end()) entry->second.raw = -1;
}

void Server::Shared::shut_all(int how) {
    std::lock_guard lock(mutex);
    stopping = true;
    for (const auto& [id, entry] : entries)
        if (entry.raw >= 0) ::shutdown(entry.raw, how);
}

bool Server::Shared::wait_empty(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex);
    return left.wait_for(lock, time, [&] { return entries.empty(); });
}

std::vector<std::string> Server::Shared::describe_all() const {
    std::lock_guard lock(mutex);
    std::vector<std::string> lines;
    for (const auto& [id, entry] : entries) {
        const std::chrono::duration<double> age = Clock::now() - entry.since;
        lines.push_back(fmt::format("{} for {:.1f} s", entry.doing, age.count()));
    }
    return lines;
}

std::size_t Server::Shared::size() const {
    std::lock_guard lock(mutex);
    return entries.size();
}

namespace {

struct Start {
    std::string name;
    std::function<void()> work;
};

void* run_thread(void* argument) {
    const std::unique_ptr<Start> start(static_cast<Start*>(argument));
    ::pthread_setname_np(::pthread_self(), start->name.c_str());
    start->work();
    return nullptr;
}

}  // namespace

Result<void> start_thread(const std::string& name, std::size_t stack_bytes,
                          std::function<void()> work) {
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, stack_bytes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    auto* start =
        new Start(name.substr(0, 15), std::move(work));  // the thread's, once there is one
    pthread_t thread;
    const int failed = ::pthread_create(&thread, &attributes, run_thread, start);
    ::pthread_attr_destroy(&attributes);
    if (failed == 0) return {};
    delete start;
    return Error::from_errno(failed, "start a thread");
}

}  // namespace corten::http
