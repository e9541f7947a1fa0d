#pragma once
#include <base/stream.hpp>
#include <storage/stream.hpp>

namespace corten::image {

/// A request's body as a Source. Borrows the callable; memory: 128 KiB.
class ReaderSource final : public storage::Source {
public:
    explicit ReaderSource(const ByteSource& read)
        : read_(read), buffer_(std::make_unique_for_overwrite<char[]>(size)) {}
    Result<std::string_view> next() override {
        return std::string_view(buffer_.get(), TRY(read_({buffer_.get(), size})));
    }

private:
    static constexpr std::size_t size = 128 << 10;
    const ByteSource& read_;
    std::unique_ptr<char[]> buffer_;
};

}  // namespace corten::image
