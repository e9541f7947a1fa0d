#include "channel.hpp"

#include <base/text.hpp>

namespace corten::runtime {

Result<void> send(FdView channel, Signal signal, std::string_view payload,
                  const std::vector<FdView>& fds) {
    std::string bytes(1, static_cast<char>(signal));
    bytes += payload;
    return sys::send_message(channel, bytes, fds);
}

Result<Received> receive(FdView channel) {
    auto message = TRY(sys::receive_message(channel, 64 << 10));
    Received out;
    out.closed = message.end || message.bytes.empty();
    if (out.closed) return out;
    out.signal = static_cast<Signal>(message.bytes[0]);
    out.payload = message.bytes.substr(1);
    out.fds = std::move(message.fds);
    return out;
}

std::string pack(const Error& error) {
    return fmt::format("{} {} {}", static_cast<int>(error.kind()), error.number(), error.message());
}

Error unpack(std::string_view payload) {
    const auto [kind, rest] = split_once(payload, ' ');
    const auto [number, text] = split_once(rest, ' ');
    const auto kind_number = parse_integer(kind, "kind").value_or(int(ErrorKind::internal));
    const auto error_number = parse_integer(number, "errno").value_or(0);
    if (kind_number < 0 || kind_number > int(ErrorKind::internal))
        return Error(ErrorKind::internal, std::string(text));
    return Error(static_cast<ErrorKind>(kind_number), std::string(text))
        .with_number(static_cast<int>(error_number));
}

}  // namespace corten::runtime
