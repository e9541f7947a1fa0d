#pragma once
// Waiting: poll, eventfd, timerfd, epoll.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace corten::sys {

using Milliseconds = std::chrono::milliseconds;

/// Waits until one of the descriptors is readable (or at its end). Gives the index of the first
/// that is, or nullopt after `timeout`; no timeout waits for ever.
Result<std::optional<std::size_t>> wait_readable(std::span<const FdView> fds,
                                                 std::optional<Milliseconds> timeout = {});
/// False after `timeout`.
Result<bool> wait_writable(FdView fd, std::optional<Milliseconds> timeout = {});

/// A flag that other threads can wait on by descriptor: readable from set() to clear().
class Event {
public:
    static Result<Event> create();
    void set() const;
    void clear() const;
    bool is_set() const;
    FdView fd() const { return fd_; }

private:
    explicit Event(Fd fd) : fd_(std::move(fd)) {}
    Fd fd_;
};

}  // namespace corten::sys
