// A message on a supervisor's control socket.
#include "fuzz.hpp"

#include <proto/channel.hpp>
#include <sys/socket.h>
#include <sys/socket.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto pair = corten::sys::socket_pair(corten::sys::SocketType::seqpacket);
    if (!pair) return 0;
    const auto& [ours, theirs] = *pair;
    if (::send(theirs.raw(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        (void)corten::proto::receive(ours);
    return 0;
}
