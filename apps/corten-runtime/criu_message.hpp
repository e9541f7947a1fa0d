#pragma once
// Messages in the encoding of Protocol Buffers (protobuf.dev/programming-guides/encoding), as far
// as CRIU's requests and answers use it: numbers, and strings or messages.
#include <base/result.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace corten::runtime_cli {

class MessageWriter {
public:
    void number(int field, std::uint64_t value);
    void text(int field, std::string_view value);
    void message(int field, const MessageWriter& inner) { text(field, inner.bytes_); }
    const std::string& bytes() const { return bytes_; }

private:
    void varint(std::uint64_t value);
    std::string bytes_;
};

class MessageReader {
public:
    /// corrupt when the bytes are no message.
    static Result<MessageReader> parse(std::string_view bytes);
    /// The last value given for a field; nullopt when there is none, or of another type.
    std::optional<std::uint64_t> number(int field) const;
    std::optional<std::string> text(int field) const;
    /// An empty message when there is none.
    Result<MessageReader> message(int field) const;

private:
    struct Value {
        int field;
        bool is_text;
        std::uint64_t number;
        std::string text;
    };
    std::vector<Value> values_;
};

}  // namespace corten::runtime_cli
