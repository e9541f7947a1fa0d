#pragma once
// Compressed streams: gzip (RFC 1952, by ISA-L), zstd (RFC 8878), and for reading xz and bzip2.
#include <storage/stream.hpp>
#include <storage/window_memory.hpp>

#include <functional>
#include <memory>
#include <string_view>

namespace corten::storage {

enum class Compression { none, gzip, zstd, xz, bzip2 };

std::string_view to_string(Compression compression);
/// By the magic bytes at the start; anything unknown is `none`. Six bytes are enough.
Compression detect_compression(std::string_view start);

/// Inflates a borrowed source, whose kind is found from its first bytes. Several gzip members or
/// zstd frames in a row are one stream (zstd:chunked's skippable frames are skipped). A stream that
/// stops early, or that is followed by bytes that are no member, is `corrupt`; zero padding after a
/// gzip stream is accepted as gzip(1) does. Memory: one output buffer of 256 KiB, plus the window
/// (gzip 32 KiB; zstd 8 MiB up to level 19 and at most 32 MiB; xz 65 MiB up to level 9 and at most
/// 128 MiB; larger windows are `unsupported`).
class Decompressor final : public Source {
public:
    /// Asked before a window of so many bytes is allocated; waits for memory, or gives an error.
    using TakeWindow = std::function<Result<WindowMemory::Part>(std::size_t bytes)>;

    /// Reads the first bytes of `compressed`. Only zstd's windows are asked for.
    static Result<std::unique_ptr<Decompressor>> create(Source& compressed, TakeWindow take = {});
    ~Decompressor() override;

    Compression compression() const;
    Result<std::string_view> next() override;

    class Stage;  ///< one per format

private:
    explicit Decompressor(std::unique_ptr<Stage> stage, Compression compression);
    std::unique_ptr<Stage> stage_;
    Compression compression_;
};

/// Compresses into a borrowed sink; finish() writes the trailer and must be called.
class Compressor : public Sink {
public:
    /// `compression` is none, gzip or zstd. gzip output is deterministic (no time, no name).
    static Result<std::unique_ptr<Compressor>> create(Compression compression, Sink& out);
    virtual Result<void> finish() = 0;
};

}  // namespace corten::storage
