#include <storage/compression.hpp>

#include <archive.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <array>
#include <cstring>
#include <vector>

namespace corten::storage {

namespace {

constexpr std::size_t output_size = 256 << 10;
constexpr int largest_window_log = 25;
constexpr std::size_t magic_size = 6;

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
    if (start.starts_with("\x28\xb5\x2f\xfd"sv)) return Compression::zstd;
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

class ZstdStage final : public Stage {
public:
    explicit ZstdStage(Input input)
        : Stage(std::move(input)),
          context_(ZSTD_createDCtx(), &ZSTD_freeDCtx),
          output_(output_size) {
        ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, largest_window_log);
    }

    Result<std::string_view> next() override {
        for (;;) {
            if (in_.pos == in_.size && !output_full_) {
                const std::string_view more = TRY(input_.next());
                if (more.empty() && !frame_done_) return corrupt("the zstd stream stops early");
                if (more.empty()) return std::string_view();
                in_ = {more.data(), more.size(), 0};
            }
            const std::size_t produced = TRY(step());
            if (produced > 0) return std::string_view(output_.data(), produced);
        }
    }

private:
    Result<std::size_t> step() {
        ZSTD_outBuffer out{output_.data(), output_.size(), 0};
        const std::size_t code = ZSTD_decompressStream(context_.get(), &out, &in_);
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

    std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
    std::vector<char> output_;
    ZSTD_inBuffer in_{nullptr, 0, 0};
    bool frame_done_ = true;
    bool output_full_ = false;
};

/// xz and bzip2: rare in practice, so libarchive's filters are good enough.
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
        archive_read_support_filter_xz(archive_.get());
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

std::unique_ptr<Stage> make_stage(Compression compression, Input input) {
    switch (compression) {
        case Compression::gzip:
            return std::make_unique<GzipStage>(std::move(input));
        case Compression::zstd:
            return std::make_unique<ZstdStage>(std::move(input));
        case Compression::xz:
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

Result<std::unique_ptr<Decompressor>> Decompressor::create(Source& compressed) {
    Input input(compressed);
    TRY(input.prefetch());
    const Compression compression = detect_compression(input.start());
    return std::unique_ptr<Decompressor>(
        new Decompressor(make_stage(compression, std::move(input)), compression));
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
