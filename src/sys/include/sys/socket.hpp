#pragma once
// Unix sockets, and messages that carry descriptors (SCM_RIGHTS).
#include <base/fd.hpp>
#include <base/result.hpp>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace corten::sys {

enum class SocketType { stream, seqpacket };

/// A listening socket at `path`; what was there before is replaced when nobody listens on it.
/// Paths longer than sun_path go through /proc/self/fd.
Result<Fd> listen_unix(const std::string& path, SocketType type, mode_t mode, int backlog = 4096);
Result<Fd> connect_unix(const std::string& path, SocketType type);
Result<Fd> accept(FdView listener);
/// A connected pair, both close-on-exec.
Result<std::pair<Fd, Fd>> socket_pair(SocketType type);
/// shutdown(SHUT_WR): the peer reads end of file.
Result<void> shutdown_write(FdView socket);

struct Message {
    std::string bytes;
    std::vector<Fd> fds;
    bool end = false;  ///< the peer closed: no bytes
};

/// One message on a seqpacket socket, with at most 16 descriptors.
Result<void> send_message(FdView socket, std::string_view bytes,
                          const std::vector<FdView>& fds = {});
/// The same, but fails with EAGAIN instead of waiting when the peer's buffer is full.
Result<void> try_send_message(FdView socket, std::string_view bytes,
                              const std::vector<FdView>& fds = {});
/// One message; it is an error when it is longer than `limit` or when descriptors were cut off.
Result<Message> receive_message(FdView socket, std::size_t limit = 1 << 20);

}  // namespace corten::sys
