#include "criu_message.hpp"

namespace corten::runtime_cli {
namespace {

enum Wire : std::uint64_t { varint_type = 0, fixed64_type = 1, length_type = 2, fixed32_type = 5 };

/// Takes a varint from the front: groups of seven bits, the lowest first.
std::optional<std::uint64_t> take_varint(std::string_view& bytes) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes.front());
        bytes.remove_prefix(1);
        value |= std::uint64_t{byte & 0x7fU} << shift;
        if ((byte & 0x80U) == 0) return value;
    }
    return std::nullopt;
}

std::optional<std::string_view> take_bytes(std::string_view& bytes, std::uint64_t size) {
    if (size > bytes.size()) return std::nullopt;
    const auto taken = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return taken;
}

Error no_message() {
    return fail(ErrorKind::corrupt, "criu's answer is no message");
}

}  // namespace

void MessageWriter::varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
}

void MessageWriter::number(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3 | varint_type);
    varint(value);
}

void MessageWriter::text(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | length_type);
    varint(value.size());
    bytes_ += value;
}

Result<MessageReader> MessageReader::parse(std::string_view bytes) {
    MessageReader reader;
    while (!bytes.empty()) {
        const auto key = take_varint(bytes);
        if (!key) return no_message();
        Value value{static_cast<int>(*key >> 3), (*key & 7) == length_type, 0, ""};
        const auto wire = *key & 7;
        if (wire == varint_type || wire == length_type) {
            const auto number = take_varint(bytes);
            if (!number) return no_message();
            value.number = *number;
        }
        const auto size = wire == length_type    ? value.number
                          : wire == fixed64_type ? 8
                          : wire == fixed32_type ? 4
                                                 : 0;
        const auto text = take_bytes(bytes, size);
        if (!text || wire == 3 || wire == 4 || wire > 5) return no_message();
        value.text = *text;
        if (wire == varint_type || wire == length_type) reader.values_.push_back(std::move(value));
    }
    return reader;
}

std::optional<std::uint64_t> MessageReader::number(int field) const {
    std::optional<std::uint64_t> found;
    for (const auto& value : values_)
        if (value.field == field && !value.is_text) found = value.number;
    return found;
}

std::optional<std::string> MessageReader::text(int field) const {
    std::optional<std::string> found;
    for (const auto& value : values_)
        if (value.field == field && value.is_text) found = value.text;
    return found;
}

Result<MessageReader> MessageReader::message(int field) const {
    return parse(text(field).value_or(""));
}

}  // namespace corten::runtime_cli
