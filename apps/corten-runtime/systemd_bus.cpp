#include "systemd_bus.hpp"

#include <base/text.hpp>
#include <sys/file.hpp>
#include <sys/poll.hpp>
#include <sys/socket.hpp>
#include <sys/stat.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace corten::runtime_cli {
namespace {

constexpr const char* system_socket = "/run/systemd/private";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";
constexpr auto patience = std::chrono::seconds(60);  // for each answer
constexpr std::size_t longest_message = 1 << 20, fixed_header = 16;
// Message types and header fields of the specification.
constexpr std::uint8_t method_call = 1, error_reply = 3, signal_message = 4;
constexpr std::uint8_t path_field = 1, interface_field = 2, member_field = 3, error_field = 4,
                       reply_field = 5, signature_field = 8;

std::size_t padded(std::size_t size, std::size_t to) {
    return (size + to - 1) / to * to;
}

/// Reads what BusWriter writes; all beyond the end reads as zero or empty, and `bad` is set.
class BusReader {
public:
    explicit BusReader(std::string_view bytes) : bytes_(bytes) {}
    bool bad() const { return bad_; }
    std::size_t at() const { return at_; }
    void align(std::size_t to) { at_ = padded(at_, to); }
    std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
    std::uint32_t u32() {
        align(4);
        std::uint32_t value;
        const auto taken = take(4);
        std::memcpy(&value, taken.data(), sizeof value);
        return value;
    }
    std::string text() { return counted(u32()); }
    std::string signature() { return counted(byte()); }

private:
    std::string take(std::size_t size) {
        if (at_ > bytes_.size() || size > bytes_.size() - at_) {
            bad_ = true;
            return std::string(std::min<std::size_t>(size, 8), '\0');
        }
        at_ += size;
        return std::string(bytes_.substr(at_ - size, size));
    }
    std::string counted(std::size_t size) {
        auto value = take(size);
        take(1);  // its NUL
        return bad_ ? "" : value;
    }
    std::string_view bytes_;
    std::size_t at_ = 0;
    bool bad_ = false;
};

void write_field(BusWriter& out, std::uint8_t code, std::string_view type, std::string_view value) {
    out.align(8);
    out.byte(code);
    out.signature(type);
    if (type == "g")
        out.signature(value);
    else
        out.text(value);
}

std::string call_message(std::string_view interface, std::string_view method,
                         std::string_view signature, const BusWriter& body, std::uint32_t serial) {
    BusWriter out;
    out.byte('l');
    out.byte(method_call);
    out.byte(0);
    out.byte(1);  // the protocol's version
    out.u32(static_cast<std::uint32_t>(body.bytes().size()));
    out.u32(serial);
    const auto fields = out.begin_array(8);
    write_field(out, path_field, "o", "/org/freedesktop/systemd1");
    write_field(out, interface_field, "s", interface);
    write_field(out, member_field, "s", method);
    if (!signature.empty()) write_field(out, signature_field, "g", signature);
    out.end_array(fields, 8);
    out.align(8);
    out.append(body);
    return out.bytes();
}

std::size_t size_of(char number_type) {
    switch (number_type) {
        case 'y':
            return 1;
        case 'n':
        case 'q':
            return 2;
        case 'i':
        case 'u':
            return 4;
        default:
            return 8;
    }
}

void write_value(BusWriter& out, const BusValue& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
        out.signature("s");
        out.text(*text);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
        out.signature("b");
        out.u32(*flag ? 1 : 0);
    } else if (const auto* number = std::get_if<std::uint64_t>(&value)) {
        out.signature("t");
        out.u64(*number);
    } else if (const auto* scalar = std::get_if<BusScalar>(&value)) {
        out.signature({&scalar->type, 1});
        out.number(scalar->bits, size_of(scalar->type));
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
        out.signature("as");
        const auto list = out.begin_array(4);
        for (const auto& entry : *texts) out.text(entry);
        out.end_array(list, 4);
    } else if (const auto* bytes = std::get_if<BusBytes>(&value)) {
        out.signature("ay");
        const auto list = out.begin_array(1);
        for (const auto entry : *bytes) out.byte(entry);
        out.end_array(list, 1);
    } else if (const auto* pairs = std::get_if<BusPairs>(&value)) {
        out.signature("a(ss)");
        const auto list = out.begin_array(8);
        for (const auto& [first, second] : *pairs) {
            out.align(8);
            out.text(first);
            out.text(second);
        }
        out.end_array(list, 8);
    } else {
        out.signature("au");
        const auto list = out.begin_array(4);
        for (const auto entry : std::get<std::vector<std::uint32_t>>(value)) out.u32(entry);
        out.end_array(list, 4);
    }
}

}  // namespace

void BusWriter::align(std::size_t to) {
    bytes_.resize(padded(bytes_.size(), to), '\0');
}

void BusWriter::number(std::uint64_t value, std::size_t size) {
    align(size);
    for (std::size_t i = 0; i < size; ++i) bytes_ += static_cast<char>(value >> 8 * i);
}

void BusWriter::text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
    bytes_ += '\0';
}

void BusWriter::signature(std::string_view value) {
    byte(static_cast<std::uint8_t>(value.size()));
    bytes_ += value;
    bytes_ += '\0';
}

std::size_t BusWriter::begin_array(std::size_t alignment) {
    u32(0);
    const auto begun = bytes_.size();
    align(alignment);
    return begun;
}

void BusWriter::end_array(std::size_t begun, std::size_t alignment) {
    const auto size = static_cast<std::uint32_t>(bytes_.size() - padded(begun, alignment));
    std::memcpy(bytes_.data() + begun - sizeof size, &size, sizeof size);
}

void write_properties(BusWriter& out, const BusProperties& properties) {
    const auto list = out.begin_array(8);
    for (const auto& [name, value] : properties) {
        out.align(8);
        out.text(name);
        write_value(out, value);
    }
    out.end_array(list, 8);
}

Manager reachable_manager() {
    struct stat socket = {};
    if (::stat(system_socket, &socket) < 0)  // it does not run, or is kept from us
        return ::geteuid() == 0 ? Manager::system : Manager::user;
    return socket.st_uid == ::geteuid() ? Manager::system : Manager::user;
}

Result<SystemdBus> SystemdBus::connect(Manager manager) {
    if (!sys::exists("/run/systemd/system"))
        return fail(ErrorKind::unsupported, "systemd does not run on this machine");
    const char* runtime_directory = std::getenv("XDG_RUNTIME_DIR");
    if (manager == Manager::user && runtime_directory == nullptr)
        return fail(ErrorKind::unsupported,
                    "an ordinary user's systemd is found by XDG_RUNTIME_DIR, which is not set");
    const auto socket = manager == Manager::system
                            ? std::string(system_socket)
                            : fmt::format("{}/systemd/private", runtime_directory);
    SystemdBus bus(TRY(sys::connect_unix(socket, sys::SocketType::stream).context("systemd")));
    TRY(bus.authenticate().context("systemd"));
    return bus;
}

/// EXTERNAL: the kernel tells the other side who we are. Our own word for it, the empty DATA, is
/// not asked for: in a user namespace we have another number than outside. BEGIN goes along at
/// once: systemd forgets a call that reaches it together with BEGIN until more comes, and by its OK
/// it has read what was sent before.
Result<void> SystemdBus::authenticate() {
    using namespace std::string_view_literals;
    TRY(sys::write_all(socket_, "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"sv));
    for (;;) {
        std::string line;
        while (!line.ends_with("\r\n") && line.size() < 200) line += TRY(read_exactly(1));
        if (line.starts_with("OK ")) return {};
        if (!line.starts_with("DATA"))
            return fail(ErrorKind::forbidden, "refused us: {}", trim(line));
    }
}

Result<std::string> SystemdBus::read_exactly(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t done = 0; done < size;) {
        const std::array<FdView, 1> source{socket_};
        if (!TRY(sys::wait_readable(source, patience)))
            return fail(ErrorKind::unavailable, "systemd did not answer within a minute");
        const auto n = TRY(sys::read_some(socket_, {bytes.data() + done, size - done}));
        if (n == 0) return fail(ErrorKind::unavailable, "systemd closed the connection");
        done += n;
    }
    return bytes;
}

Result<SystemdBus::Message> SystemdBus::read_message() {
    auto bytes = TRY(read_exactly(fixed_header));
    BusReader start(bytes);
    if (start.byte() != 'l') return fail(ErrorKind::corrupt, "systemd: an answer of another order");
    Message message;
    message.type = start.byte();
    start.byte(), start.byte();
    const std::size_t body = start.u32();
    start.u32();
    const std::size_t end_of_fields = fixed_header + start.u32();
    if (body > longest_message || end_of_fields > longest_message)
        return fail(ErrorKind::corrupt, "systemd: an answer that is too long");
    bytes += TRY(read_exactly(padded(end_of_fields, 8) - fixed_header));
    BusReader header(std::string_view(bytes).substr(0, end_of_fields));
    for (int i = 0; i < 4; ++i) header.u32();
    while (header.at() < end_of_fields && !header.bad()) {
        header.align(8);
        const auto code = header.byte();
        const auto type = header.signature();
        const std::uint32_t number = type == "u" ? header.u32() : 0;
        const auto text = type == "g" ? header.signature() : type == "u" ? "" : header.text();
        if (code == reply_field) message.reply_to = number;
        if (code == member_field) message.member = text;
        if (code == error_field) message.error = text;
        if (code == signature_field) message.signature = text;
    }
    if (header.bad()) return fail(ErrorKind::corrupt, "systemd: an answer that ends too soon");
    message.body = TRY(read_exactly(body));
    return message;
}

/// JobRemoved(u id, o job, s unit, s result).
void SystemdBus::note_finished(const Message& message) {
    if (message.type != signal_message || message.member != "JobRemoved") return;
    BusReader body(message.body);
    body.u32();
    auto job = body.text();
    body.text();
    finished_.emplace_back(std::move(job), body.text());
}

Result<SystemdBus::Message> SystemdBus::ask(std::string_view interface, std::string_view method,
                                            std::string_view signature, const BusWriter& body) {
    const auto serial = ++serial_;
    TRY(sys::write_all(socket_, call_message(interface, method, signature, body, serial)));
    for (;;) {
        auto message = TRY(read_message());
        note_finished(message);
        if (message.reply_to != serial) continue;
        if (message.type != error_reply) return message;
        const bool missing = message.error == "org.freedesktop.systemd1.NoSuchUnit";
        auto text = message.signature.starts_with('s') ? BusReader(message.body).text() : "";
        return fail(missing ? ErrorKind::not_found : ErrorKind::io, "systemd: {}: {}", method,
                    text.empty() ? message.error : text);
    }
}

Result<std::string> SystemdBus::call(std::string_view method, std::string_view signature,
                                     const BusWriter& body) {
    const auto answer = TRY(ask(manager_interface, method, signature, body));
    const bool has_text = answer.signature.starts_with('s') || answer.signature.starts_with('o');
    return has_text ? BusReader(answer.body).text() : "";
}

Result<std::string> SystemdBus::property(std::string_view name) {
    BusWriter body;
    body.text(manager_interface);
    body.text(name);
    const auto answer = TRY(ask("org.freedesktop.DBus.Properties", "Get", "ss", body));
    BusReader value(answer.body);
    if (answer.signature != "v" || value.signature() != "s")
        return fail(ErrorKind::corrupt, "systemd: {} is no string", name);
    return value.text();
}

Result<void> SystemdBus::wait_for_job(const std::string& job) {
    for (;;) {
        const auto found =
            std::ranges::find(finished_, job, &std::pair<std::string, std::string>::first);
        if (found != finished_.end()) {
            if (found->second == "done") return {};
            return fail(ErrorKind::io, "systemd: the job ended as {}", found->second);
        }
        note_finished(TRY(read_message()));
    }
}

}  // namespace corten::runtime_cli
