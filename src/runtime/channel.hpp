#pragma once
// The conversation between the caller and the process it made, on a seqpacket pair: one letter,
// then the payload. The process writes errors as "E", and its execve closes the channel.
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/socket.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace corten::runtime {

enum class Signal : char {
    map_ids = 'M',    ///< process: in its user namespace, wants its ids mapped
    run_hooks = 'H',  ///< process: mounts are done, the root is not yet changed
    warning = 'W',    ///< process: something was survived; the text
    ready = 'R',      ///< process: all is set up, with descriptors and timings
    error = 'E',      ///< process: it failed and is gone; kind, errno, text
    go_on = 'C',      ///< caller: the answer to map_ids and run_hooks; after ready: wait without us
    start = 'S',      ///< caller: execve now
};

struct Received {
    Signal signal = Signal::error;
    std::string payload;
    std::vector<Fd> fds;
    bool closed = false;
};

Result<void> send(FdView channel, Signal signal, std::string_view payload = "",
                  const std::vector<FdView>& fds = {});
/// A closed channel is not an error here.
Result<Received> receive(FdView channel);

/// An error as a payload, and back.
std::string pack(const Error& error);
Error unpack(std::string_view payload);

}  // namespace corten::runtime
