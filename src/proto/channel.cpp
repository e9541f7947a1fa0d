#include <proto/channel.hpp>
#include <sys/file.hpp>
#include <sys/socket.hpp>

#include <unistd.h>

#include <array>
#include <cerrno>

namespace corten::proto {

namespace {

constexpr std::string_view in_memory_file = "M";
constexpr std::size_t largest_document = 32 << 20;

constexpr std::array all_kinds = {
    ErrorKind::invalid,      ErrorKind::not_found, ErrorKind::conflict,    ErrorKind::not_modified,
    ErrorKind::unauthorized, ErrorKind::forbidden, ErrorKind::unavailable, ErrorKind::unsupported,
    ErrorKind::not_built,    ErrorKind::no_space,  ErrorKind::cancelled,   ErrorKind::io,
    ErrorKind::corrupt,      ErrorKind::internal,
};

Result<Fd> document_file(std::string_view text) {
    Fd file = TRY(sys::memory_file("corten-message"));
    TRY(sys::write_all(file, text));
    return file;
}

/// The memory file's offset is where the sender stopped writing: rewind before reading.
Result<std::string> read_document(const Fd& file) {
    if (::lseek(file.raw(), 0, SEEK_SET) < 0) return fail_errno("rewind a message's memory file");
    return sys::read_all(file, largest_document);
}

Result<void> without_blocking(Result<void> sent) {
    if (sent || sent.error().number() != EAGAIN) return sent;
    return fail(ErrorKind::unavailable, "the peer does not read its messages").with_number(EAGAIN);
}

Result<std::string> take_text(sys::Message& message) {
    if (message.bytes != in_memory_file) return std::move(message.bytes);
    if (message.fds.empty()) return fail(ErrorKind::corrupt, "message without its memory file");
    const Fd file = std::move(message.fds.front());
    message.fds.erase(message.fds.begin());
    return read_document(file);
}

Result<void> pair_roles(Received& out, std::vector<Fd>& fds) {
    if (fds.size() != out.envelope.fds.size())
        return fail(ErrorKind::corrupt, "message \"{}\" names {} descriptors and carries {}",
                    out.envelope.type, out.envelope.fds.size(), fds.size());
    for (std::size_t i = 0; i < fds.size(); ++i)
        out.fds.push_back({out.envelope.fds[i], std::move(fds[i])});
    return {};
}

}  // namespace

Fd Received::take(std::string_view role) {
    for (auto& entry : fds)
        if (entry.role == role) return std::move(entry.fd);
    return Fd();
}

Result<void> send(FdView socket, Envelope envelope, const std::vector<RoleFd>& fds) {
    std::vector<FdView> raw;
    envelope.fds.clear();
    for (const auto& entry : fds) {
        envelope.fds.push_back(entry.role);
        raw.push_back(entry.fd);
    }
    const std::string text = dump_json(to_json(envelope));
    if (text.size() <= largest_inline)
        return without_blocking(sys::try_send_message(socket, text, raw));
    const Fd file = TRY(document_file(text));
    raw.insert(raw.begin(), file);
    return without_blocking(sys::try_send_message(socket, in_memory_file, raw));
}

Result<Received> receive(FdView socket) {
    sys::Message message = TRY(sys::receive_message(socket));
    Received out;
    out.end = message.end;
    if (out.end) return out;
    const std::string text = TRY(take_text(message));
    out.envelope = TRY(parse_as<Envelope>(text, "supervisor message"));
    if (out.envelope.v != version)
        return fail(ErrorKind::unsupported, "message \"{}\" has protocol version {}, this is {}",
                    out.envelope.type, out.envelope.v, version);
    TRY(pair_roles(out, message.fds));
    return out;
}

ErrorBody to_body(const Error& error, std::string_view step) {
    return {std::string(to_string(error.kind())), error.number(), std::string(step),
            error.message()};
}

Error to_error(const ErrorBody& body) {
    ErrorKind kind = ErrorKind::internal;
    for (const auto candidate : all_kinds)
        if (to_string(candidate) == body.kind) kind = candidate;
    Error error = Error(kind, body.message).with_number(body.number);
    if (body.step.empty()) return error;
    return std::move(error).context(body.step);
}

}  // namespace corten::proto
