#include <storage/compression.hpp>

#include <archive.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace corten::storage {

namespace {

constexpr std::size_t output_size = 256 << 10;
constexpr int largest_window_log = 25;
/// Level 9 needs 65 MiB; a dictionary may have 4 GiB.
constexpr std::uint64_t xz_memory = 128 << 20;
constexpr std::size_t magic_size = 6;
constexpr std::string_view zstd_magic = "\x28\xb5\x2f\xfd";

Error corrupt(std::string_view what) {
    return fail(ErrorKind::corrupt, "compressed data: {}", what);
}

/// The compressed bytes: first what was read to find out the kind, then the source.
class Input {
public:
    explicit Input(Source& source) : source_(source) {}

    Result<void> prefetch() {
        while (start_.size() < magic_size) {
            const std::string_view more = TRY(source_.next());
            if (more.empty()) return {};
            start_.append(more);
        }
        return {};
    }
    std::string_view start() const { return start_; }

    Result<std::string_view> next() {
        if (given_) return source_.next();
        given_ = true;
        return start_.empty() ? source_.next() : Result<std::string_view>(start_);
    }

private:
    Source& source_;
    std::string start_;
    bool given_ = false;
};

}  // namespace

std::string_view to_string(Compression compression) {
    switch (compression) {
        case Compression::none:
            return "none";
        case Compression::gzip:
            return "gzip";
        case Compression::zstd:
            return "zstd";
        case Compression::xz:
            return "xz";
        case Compression::bzip2:
            return "bzip2";
    }
    return "unknown";
}

Compression detect_compression(std::string_view start) {
    using namespace std::string_view_literals;
    if (start.starts_with("\x1f\x8b\x08"sv)) return Compression::gzip;
    if (start.starts_with(zstd_magic)) return Compression::zstd;
    // A skippable frame (RFC 8878 3.1.2) may come first.
    if (start.size() >= 4 && (start[0] & 0xf0) == 0x50 && start.substr(1, 3) == "\x2a\x4d\x18"sv)
        return Compression::zstd;
    if (start.starts_with("\xfd"
                          "7zXZ\0"sv))
        return Compression::xz;
    if (start.starts_with("BZh"sv)) return Compression::bzip2;
    return Compression::none;
}

class Decompressor::Stage {
public:
    explicit Stage(Input input) : input_(std::move(input)) {}
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;
    virtual ~Stage() = default;
    virtual Result<std::string_view> next() = 0;

protected:
    Input input_;
};

namespace {

using Stage = Decompressor::Stage;

class PlainStage final : public Stage {
public:
    using Stage::Stage;
    Result<std::string_view> next() override { return input_.next(); }
};

class GzipStage final : public Stage {
public:
    explicit GzipStage(Input input)
        : Stage(std::move(input)), state_(std::make_unique<inflate_state>()), output_(output_size) {
        start_member();
    }

    Result<std::string_view> next() override {
        while (!ended_) {
            const std::size_t produced = TRY(step());
            if (produced > 0) return std::string_view(output_.data(), produced);
        }
        return std::string_view();
    }

private:
    void start_member() {
        isal_inflate_init(state_.get());
        state_->crc_flag = ISAL_GZIP;
        in_member_ = true;
    }

    Result<std::size_t> step() {
        if (pending_.empty() && !input_ended_) {
            pending_ = TRY(input_.next());
            input_ended_ = pending_.empty();
        }
        if (!in_member_) return between_members();
        return inflate();
    }

    Result<std::size_t> inflate() {
        state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(pending_.data()));
        state_->avail_in = static_cast<std::uint32_t>(pending_.size());
        state_->next_out = reinterpret_cast<std::uint8_t*>(output_.data());
        state_->avail_out = output_size;
        const int code = isal_inflate(state_.get());
        if (code < 0)
            return corrupt(code == ISAL_INCORRECT_CHECKSUM ? "gzip checksum does not match"
                                                           : "bad gzip stream");
        // What it took and does not need it gives back; of a broken stream more than it was given.
        if (state_->avail_in > pending_.size()) return corrupt("bad gzip stream");
        pending_.remove_prefix(pending_.size() - state_->avail_in);
        const std::size_t produced = output_size - state_->avail_out;
        if (state_->block_state == ISAL_BLOCK_FINISH)
            in_member_ = false;
        else if (input_ended_ && produced == 0)
            return corrupt("the gzip stream stops early");
        return produced;
    }

    /// Another member, padding with zeros, or the end may follow a member.
    Result<std::size_t> between_members() {
        if (pending_.empty()) {
            ended_ = true;
            return 0;
        }
        if (!padding_ && pending_.front() == '\x1f') {
            start_member();
            return 0;
        }
        if (pending_.find_first_not_of('\0') != std::string_view::npos)
            return corrupt("something that is not gzip follows the gzip stream");
        padding_ = true;
        pending_ = {};
        return 0;
    }

    std::unique_ptr<inflate_state> state_;
    std::vector<char> output_;
    std::string_view pending_;
    bool input_ended_ = false;
    bool in_member_ = false;
    bool padding_ = false;
    bool ended_ = false;
};

/// Bytes of a zstd frame's header (RFC 8878 3.1.1.1), as far as `head` tells; of what is none, and
/// of a skippable frame, the five that say so.
std::size_t frame_head_size(std::string_view head) {
    constexpr std::size_t least = 5;
    constexpr std::array dictionary_sizes = {0, 1, 2, 4};
    constexpr std::array content_sizes = {0, 2, 4, 8};
    if (head.size() < least || !head.starts_with(zstd_magic)) return least;
    const auto flags = static_cast<std::uint8_t>(head[4]);
    const bool single = (flags & 0x20) != 0;
    const int content = content_sizes[flags >> 6];
    return least + static_cast<std::size_t>(dictionary_sizes[flags & 3]) +
           static_cast<std::size_t>(single ? std::max(content, 1) : content + 1);
}

/// How far back the frame with that header may look; 0 of what is none.
std::uint64_t window_of(std::string_view head) {
    if (!head.starts_with(zstd_magic)) return 0;
    const auto flags = static_cast<std::uint8_t>(head[4]);
    if ((flags & 0x20) == 0) {
        const auto window = static_cast<std::uint8_t>(head[5]);
        const std::uint64_t base = std::uint64_t{1} << (10 + (window >> 3));
        return base + base / 8 * (window & 7);
    }
    // A single segment: its window is its content, whose size ends the header.
    std::uint64_t size = 0;
    const std::size_t bytes = (flags >> 6) == 0 ? 1 : std::size_t{1} << (flags >> 6);
    for (std::size_t i = 0; i < bytes; ++i)
        size = size << 8 | static_cast<std::uint8_t>(head[head.size() - 1 - i]);
    return size;
}

class ZstdStage final : public Stage {
public:
    ZstdStage(Input input, Decompressor::TakeWindow take)
        : Stage(std::move(input)), take_(std::move(take)), output_(output_size) {
        renew_context();
    }

    Result<std::string_view> next() override {
        for (;;) {
            if (!output_full_ && !TRY(has_input())) {
                if (!frame_done_) return corrupt("the zstd stream stops early");
                return std::string_view();
            }
            if (frame_done_) TRY(begin_frame());
            const std::size_t produced = TRY(step(in_));
            if (produced > 0) return std::string_view(output_.data(), produced);
        }
    }

private:
    void renew_context() {
        context_.reset();
        context_.reset(ZSTD_createDCtx());
        ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, largest_window_log);
    }

    Result<bool> has_input() {
        if (in_.pos < in_.size) return true;
        const std::string_view more = TRY(input_.next());
        in_ = {more.data(), more.size(), 0};
        return !more.empty();
    }

    /// Its window is known, and there is memory for it, before the decoder sees the frame.
    Result<void> begin_frame() {
        std::string head;
        while (head.size() < frame_head_size(head) && TRY(has_input()))
            head += static_cast<const char*>(in_.src)[in_.pos++];
        if (head.size() == frame_head_size(head)) TRY(take_window(window_of(head)));
        ZSTD_inBuffer bytes{head.data(), head.size(), 0};
        TRY(step(bytes));
        return {};
    }

    /// Larger ones than are taken at all are the decoder's to refuse.
    Result<void> take_window(std::uint64_t bytes) {
        if (!take_ || bytes <= window_ || bytes > std::uint64_t{1} << largest_window_log) return {};
        renew_context();
        memory_.reset();
        memory_.emplace(TRY(take_(bytes)));
        window_ = bytes;
        return {};
    }

    Result<std::size_t> step(ZSTD_inBuffer& in) {
        ZSTD_outBuffer out{output_.data(), output_.size(), 0};
        const std::size_t code = ZSTD_decompressStream(context_.get(), &out, &in);
        if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
            return fail(ErrorKind::unsupported,
                        "zstd data that looks back on more than {} MiB is not taken: pack it with "
                        "a level up to 20, or --long={} at most",
                        (1 << largest_window_log) >> 20, largest_window_log);
        if (ZSTD_isError(code)) return corrupt(fmt::format("zstd: {}", ZSTD_getErrorName(code)));
        frame_done_ = code == 0;
        // A full buffer may hide more output that needs no more input.
        output_full_ = out.pos == out.size && !frame_done_;
        return out.pos;
    }

    Decompressor::TakeWindow take_;
    std::optional<WindowMemory::Part> memory_;
    std::uint64_t window_ = 0;  ///< that there is memory for
    std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_{nullptr, &ZSTD_freeDCtx};
    std::vector<char> output_;
    ZSTD_inBuffer in_{nullptr, 0, 0};
    bool frame_done_ = true;
    bool output_full_ = false;
};

class XzStage final : public Stage {
public:
    explicit XzStage(Input input) : Stage(std::move(input)), output_(output_size) {}
    ~XzStage() override { lzma_end(&stream_); }

    Result<std::string_view> next() override {
        if (!opened_ && lzma_stream_decoder(&stream_, xz_memory, LZMA_CONCATENATED) != LZMA_OK)
            return fail(ErrorKind::no_space, "no memory to read xz data");
        opened_ = true;
        while (!ended_) {
            const std::size_t produced = TRY(step());
            if (produced > 0) return std::string_view(output_.data(), produced);
        }
        return std::string_view();
    }

private:
    Result<std::size_t> step() {
        if (stream_.avail_in == 0 && !input_ended_) {
            const std::string_view more = TRY(input_.next());
            stream_.next_in = reinterpret_cast<const std::uint8_t*>(more.data());
            stream_.avail_in = more.size();
            input_ended_ = more.empty();
        }
        stream_.next_out = reinterpret_cast<std::uint8_t*>(output_.data());
        stream_.avail_out = output_.size();
        const lzma_ret code = lzma_code(&stream_, input_ended_ ? LZMA_FINISH : LZMA_RUN);
        ended_ = code == LZMA_STREAM_END;
        if (code == LZMA_MEMLIMIT_ERROR)
            return fail(ErrorKind::unsupported,
                        "xz data that needs more than {} MiB of memory is not taken",
                        xz_memory >> 20);
        if (code == LZMA_BUF_ERROR) return corrupt("the xz stream stops early");
        if (code != LZMA_OK && !ended_) return corrupt(fmt::format("bad xz stream ({})", +code));
        return output_.size() - stream_.avail_out;
    }

    lzma_stream stream_ = LZMA_STREAM_INIT;
    std::vector<char> output_;
    bool opened_ = false;
    bool input_ended_ = false;
    bool ended_ = false;
};

/// bzip2: rare in practice, so libarchive's filter is good enough.
class ArchiveStage final : public Stage {
public:
    explicit ArchiveStage(Input input)
        : Stage(std::move(input)),
          archive_(archive_read_new(), &archive_read_free),
          output_(output_size) {}

    Result<std::string_view> next() override {
        if (!opened_) TRY(open());
        const la_ssize_t n = archive_read_data(archive_.get(), output_.data(), output_.size());
        if (n < 0) return failure();
        return std::string_view(output_.data(), static_cast<std::size_t>(n));
    }

private:
    Result<void> open() {
        opened_ = true;
        archive_read_support_filter_bzip2(archive_.get());
        archive_read_support_format_raw(archive_.get());
        archive_read_support_format_empty(archive_.get());
        archive_entry* entry = nullptr;
        if (archive_read_open(archive_.get(), this, nullptr, &ArchiveStage::read, nullptr) !=
            ARCHIVE_OK)
            return failure();
        const int code = archive_read_next_header(archive_.get(), &entry);
        if (code != ARCHIVE_OK && code != ARCHIVE_EOF) return failure();
        return {};
    }
    static la_ssize_t read(struct archive*, void* self, const void** buffer) {
        auto* stage = static_cast<ArchiveStage*>(self);
        auto more = stage->input_.next();
        if (!more) {
            stage->input_error_.emplace(std::move(more).error());
            return -1;
        }
        *buffer = more->data();
        return static_cast<la_ssize_t>(more->size());
    }
    Error failure() {
        if (input_error_) return *input_error_;
        const char* text = archive_error_string(archive_.get());
        return corrupt(text ? text : "unreadable");
    }

    std::unique_ptr<struct archive, decltype(&archive_read_free)> archive_;
    std::vector<char> output_;
    std::optional<Error> input_error_;
    bool opened_ = false;
};

std::unique_ptr<Stage> make_stage(Compression compression, Input input,
                                  Decompressor::TakeWindow take) {
    switch (compression) {
        case Compression::gzip:
            return std::make_unique<GzipStage>(std::move(input));
        case Compression::zstd:
            return std::make_unique<ZstdStage>(std::move(input), std::move(take));
        case Compression::xz:
            return std::make_unique<XzStage>(std::move(input));
        case Compression::bzip2:
            return std::make_unique<ArchiveStage>(std::move(input));
        case Compression::none:
            break;
    }
    return std::make_unique<PlainStage>(std::move(input));
}

}  // namespace

Decompressor::Decompressor(std::unique_ptr<Stage> stage, Compression compression)
    : stage_(std::move(stage)), compression_(compression) {}
Decompressor::~Decompressor() = default;

Result<std::unique_ptr<Decompressor>> Decompressor::create(Source& compressed, TakeWindow take) {
    Input input(compressed);
    TRY(input.prefetch());
    const Compression compression = detect_compression(input.start());
    return std::unique_ptr<Decompressor>(
        new Decompressor(make_stage(compression, std::move(input), std::move(take)), compression));
}

Compression Decompressor::compression() const {
    return compression_;
}

Result<std::string_view> Decompressor::next() {
    return stage_->next();
}

namespace {

class PlainCompressor final : public Compressor {
public:
    explicit PlainCompressor(Sink& out) : out_(out) {}
    Result<void> write(std::string_view bytes) override { return out_.write(bytes); }
    Result<void> finish() override { return {}; }

private:
    Sink& out_;
};

class GzipCompressor final : public Compressor {
public:
    explicit GzipCompressor(Sink& out)
        : out_(out),
          stream_(std::make_unique<isal_zstream>()),
          level_(ISAL_DEF_LVL3_DEFAULT),
          output_(output_size) {
        isal_deflate_init(stream_.get());
        stream_->gzip_flag = IGZIP_GZIP;
        stream_->level = 3;
        stream_->level_buf = level_.data();
        stream_->level_buf_size = static_cast<std::uint32_t>(level_.size());
    }
    Result<void> write(std::string_view bytes) override { return run(bytes, false); }
    Result<void> finish() override { return run({}, true); }

private:
    Result<void> run(std::string_view bytes, bool end) {
        stream_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
        stream_->avail_in = static_cast<std::uint32_t>(bytes.size());
        stream_->end_of_stream = end ? 1 : 0;
        do {
            stream_->next_out = output_.data();
            stream_->avail_out = static_cast<std::uint32_t>(output_.size());
            if (const int code = isal_deflate(stream_.get()); code != COMP_OK)
                return fail(ErrorKind::internal, "gzip compressor: code {}", code);
            const std::size_t produced = output_.size() - stream_->avail_out;
            TRY(out_.write({reinterpret_cast<const char*>(output_.data()), produced}));
        } while (stream_->avail_out == 0 || stream_->avail_in > 0);
        return {};
    }

    Sink& out_;
    std::unique_ptr<isal_zstream> stream_;
    std::vector<std::uint8_t> level_;
    std::vector<std::uint8_t> output_;
};

class ZstdCompressor final : public Compressor {
public:
    explicit ZstdCompressor(Sink& out)
        : out_(out), context_(ZSTD_createCCtx(), &ZSTD_freeCCtx), output_(output_size) {
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, 3);
        ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    }
    Result<void> write(std::string_view bytes) override { return run(bytes, ZSTD_e_continue); }
    Result<void> finish() override { return run({}, ZSTD_e_end); }

private:
    Result<void> run(std::string_view bytes, ZSTD_EndDirective mode) {
        ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
        for (;;) {
            ZSTD_outBuffer out{output_.data(), output_.size(), 0};
            const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, mode);
            if (ZSTD_isError(left))
                return fail(ErrorKind::internal, "zstd: {}", ZSTD_getErrorName(left));
            if (out.pos > 0) TRY(out_.write({output_.data(), out.pos}));
            if (mode == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
        }
    }

    Sink& out_;
    std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context_;
    std::vector<char> output_;
};

}  // namespace

Result<std::unique_ptr<Compressor>> Compressor::create(Compression compression, Sink& out) {
    switch (compression) {
        case Compression::none:
            return std::make_unique<PlainCompressor>(out);
        case Compression::gzip:
            return std::make_unique<GzipCompressor>(out);
        case Compression::zstd:
            return std::make_unique<ZstdCompressor>(out);
        default:
            break;
    }
    return fail(ErrorKind::unsupported, "writing {} is not supported", to_string(compression));
}

}  // namespace corten::storage
