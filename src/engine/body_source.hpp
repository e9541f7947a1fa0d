#pragma once
#include <base/stream.hpp>
#include <storage/stream.hpp>

#include <vector>

namespace corten::engine {

/// A storage source that pulls from a request's body, which it borrows.
class BodySource final : public storage::Source {
public:
    explicit BodySource(const ByteSource& body) : body_(body), buffer_(128 << 10) {}
    Result<std::string_view> next() override {
        const std::size_t n = TRY(body_(buffer_));
        return std::string_view(buffer_.data(), n);
    }

private:
    const ByteSource& body_;
    std::vector<char> buffer_;
};

}  // namespace corten::engine
