// What a client sends on a websocket.
#include "fuzz.hpp"

#include <sys/socket.h>
#include <sys/socket.hpp>

#include <websocket.hpp>

#include <array>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace corten;
    auto pair = sys::socket_pair(sys::SocketType::stream);
    if (!pair) return 0;
    const Fd client = std::move(pair->second);
    (void)::shutdown(client.raw(), SHUT_WR);
    const auto socket =
        http::make_websocket(http::make_socket_stream(std::move(pair->first)),
                             std::string(text_of(data, size)), http::MessageKind::binary);
    std::array<char, 100> buffer;
    for (;;) {
        const auto step = socket->try_read(buffer);
        if (!step || step->kind != http::Step::moved) return 0;
    }
}
