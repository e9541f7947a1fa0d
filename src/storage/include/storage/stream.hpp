#pragma once
// Byte streams between the stages of a pipeline. A Source is pulled, a Sink is pushed; both pass
// views into the producer's buffer, so that bytes are copied only where threads meet.
#include <base/fd.hpp>
#include <base/result.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace corten::storage {

class Source {
public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;
    /// The next bytes, in pieces as the producer has them. Empty means the end, and stays so. The
    /// view is valid until the next call. After an error the source must not be used any more.
    virtual Result<std::string_view> next() = 0;
};

class Sink {
public:
    Sink() = default;
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;
    virtual ~Sink() = default;
    virtual Result<void> write(std::string_view bytes) = 0;
};

/// Gives `bytes` (borrowed) once.
class StringSource final : public Source {
public:
    explicit StringSource(std::string_view bytes) : bytes_(bytes) {}
    Result<std::string_view> next() override { return std::exchange(bytes_, {}); }

private:
    std::string_view bytes_;
};

/// Reads a borrowed descriptor to its end, in pieces of 128 KiB.
class FdSource final : public Source {
public:
    explicit FdSource(FdView fd);
    Result<std::string_view> next() override;

private:
    FdView fd_;
    std::unique_ptr<char[]> buffer_;
};

class FdSink final : public Sink {
public:
    explicit FdSink(FdView fd) : fd_(fd) {}
    Result<void> write(std::string_view bytes) override;

private:
    FdView fd_;
};

class StringSink final : public Sink {
public:
    explicit StringSink(std::string& out) : out_(out) {}
    Result<void> write(std::string_view bytes) override {
        out_.append(bytes);
        return {};
    }

private:
    std::string& out_;
};

/// A Sink out of a function.
class FunctionSink final : public Sink {
public:
    explicit FunctionSink(std::function<Result<void>(std::string_view)> write)
        : write_(std::move(write)) {}
    Result<void> write(std::string_view bytes) override { return write_(bytes); }

private:
    std::function<Result<void>(std::string_view)> write_;
};

/// Everything from `source` into `sink`; gives the number of bytes.
Result<std::uint64_t> copy(Source& source, Sink& sink);

struct PipeLimits {
    std::size_t chunk = 256 << 10;  ///< bytes of one buffer
    std::size_t chunks = 8;         ///< buffers in flight; chunk * chunks bounds the memory
};

/// Runs `produce` in a thread of its own ("storage-produce"); what it writes into its sink comes
/// out of the returned source, and so does its error. Destroying the source early makes the
/// producer's writes fail with `cancelled` and joins the thread: `produce` must not block elsewhere
/// for ever, and what it borrows must outlive the source.
std::unique_ptr<Source> produce(std::function<Result<void>(Sink&)> produce, PipeLimits limits = {});

/// Pulls `upstream` (borrowed) in a thread of its own, ahead of the reader.
std::unique_ptr<Source> read_ahead(Source& upstream, PipeLimits limits = {});

}  // namespace corten::storage
