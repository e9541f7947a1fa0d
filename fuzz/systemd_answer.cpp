// What systemd sends until it closes the connection, when it has been asked something.
#include "fuzz.hpp"
#include "systemd_bus.hpp"

#include <sys/file.hpp>
#include <sys/socket.hpp>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t fits_the_buffer = 64 << 10;
    auto pair = corten::sys::socket_pair(corten::sys::SocketType::stream);
    if (!pair || size > fits_the_buffer) return 0;
    auto& [ours, theirs] = *pair;
    if (!corten::sys::write_all(theirs, corten::text_of(data, size))) return 0;
    if (!corten::sys::shutdown_write(theirs)) return 0;
    corten::runtime_cli::SystemdBus bus(std::move(ours));
    (void)bus.call("GetUnit", "", {});
    (void)bus.wait_for_job("/org/freedesktop/systemd1/job/1");
    return 0;
}
