// A message of a container's process to who makes it, or the other way round.
#include "channel.hpp"
#include "fuzz.hpp"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    auto pair = corten::sys::socket_pair(corten::sys::SocketType::seqpacket);
    if (!pair) return 0;
    const auto& [ours, theirs] = *pair;
    if (::send(theirs.raw(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return 0;
    const auto received = corten::runtime::receive(ours);
    if (received) (void)corten::runtime::unpack(received->payload);
    return 0;
}
