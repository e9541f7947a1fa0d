#include "record.hpp"

#include "tree.hpp"

#include <storage/compression.hpp>
#include <sys/file.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

namespace corten::storage {

namespace {

constexpr std::string_view magic = "CORTENTAR1\n";
constexpr std::size_t framing_buffer = 64 << 10;

void append_varint(std::string& out, std::uint64_t value) {
    while (value >= 0x80) {
        out += static_cast<char>(value | 0x80);
        value >>= 7;
    }
    out += static_cast<char>(value);
}

void append_text(std::string& out, std::string_view text) {
    append_varint(out, text.size());
    out += text;
}

}  // namespace

struct RecordWriter::State {
    explicit State(Fd f) : file(std::move(f)), sink(file) {}
    Fd file;
    FdSink sink;
    std::unique_ptr<Compressor> compressor;
    std::string framing;  // gathered, so that a run of headers is one piece
    std::uint64_t framing_total = 0;
    std::uint64_t framing_limit = 0;
};

RecordWriter::RecordWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
RecordWriter::~RecordWriter() = default;

Result<std::unique_ptr<RecordWriter>> RecordWriter::create(Fd file, std::uint64_t framing_limit) {
    auto state = std::make_unique<State>(std::move(file));
    state->compressor = TRY(Compressor::create(Compression::zstd, state->sink));
    state->framing_limit = framing_limit;
    TRY(state->compressor->write(magic));
    return std::unique_ptr<RecordWriter>(new RecordWriter(std::move(state)));
}

Result<void> RecordWriter::framing(std::string_view bytes) {
    state_->framing_total += bytes.size();
    if (state_->framing_limit && state_->framing_total > state_->framing_limit)
        return fail(ErrorKind::invalid, "the archive's headers take more than {} bytes",
                    state_->framing_limit);
    state_->framing.append(bytes);
    if (state_->framing.size() >= framing_buffer) return flush_framing();
    return {};
}

Result<void> RecordWriter::flush_framing() {
    if (state_->framing.empty()) return {};
    std::string head = "F";
    append_varint(head, state_->framing.size());
    TRY(state_->compressor->write(head));
    TRY(state_->compressor->write(state_->framing));
    state_->framing.clear();
    return {};
}

Result<void> RecordWriter::payload(std::string_view path, const std::vector<Extent>& extents) {
    TRY(flush_framing());
    std::string line = "P";
    append_text(line, path);
    append_varint(line, extents.size());
    for (const Extent& extent : extents) {
        append_varint(line, extent.offset);
        append_varint(line, extent.length);
    }
    return state_->compressor->write(line);
}

Result<void> RecordWriter::replaced(std::string_view path, std::uint64_t number) {
    TRY(flush_framing());
    std::string line = "R";
    append_text(line, path);
    append_varint(line, number);
    return state_->compressor->write(line);
}

Result<void> RecordWriter::finish() {
    TRY(flush_framing());
    return state_->compressor->finish();
}

namespace {

Error broken() {
    return fail(ErrorKind::corrupt, "the record of the layer's tar is damaged");
}

/// Where a payload line's file lies now: path -> (number of the 'R' line in the record,
/// replaced/i).
struct Replacement {
    std::uint64_t line;
    std::uint64_t number;
};
using Replacements = std::map<std::string, std::vector<Replacement>, std::less<>>;

/// What the lines of a record are told to.
class LineVisitor {
public:
    virtual ~LineVisitor() = default;
    virtual Result<void> framing(std::string_view bytes) = 0;
    virtual Result<void> payload(std::uint64_t line, std::string path,
                                 std::vector<Extent> extents) = 0;
    virtual Result<void> replaced(std::uint64_t line, std::string path, std::uint64_t number) = 0;
};

class RecordReader {
public:
    explicit RecordReader(Source& source) : source_(source) {}

    Result<void> run(LineVisitor& visitor) {
        if (TRY(bytes(magic.size())) != magic) return broken();
        for (std::uint64_t line = 0; TRY(more()); ++line) TRY(one(line, visitor));
        return {};
    }

private:
    Result<void> one(std::uint64_t line, LineVisitor& visitor) {
        const std::string kind = TRY(bytes(1));
        if (kind == "F") return framing(visitor);
        if (kind != "P" && kind != "R") return broken();
        std::string path = TRY(bytes(TRY(varint())));
        const std::uint64_t number = TRY(varint());
        if (kind == "R") return visitor.replaced(line, std::move(path), number);
        std::vector<Extent> extents;
        for (std::uint64_t i = 0; i < number; ++i) {
            const std::uint64_t offset = TRY(varint());
            extents.push_back({offset, TRY(varint())});
        }
        return visitor.payload(line, std::move(path), std::move(extents));
    }
    Result<void> framing(LineVisitor& visitor) {
        for (std::uint64_t left = TRY(varint()); left > 0;) {
            if (!TRY(more())) return broken();
            const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left, pending_.size()));
            TRY(visitor.framing(pending_.substr(0, n)));
            pending_.remove_prefix(n);
            left -= n;
        }
        return {};
    }
    Result<bool> more() {
        if (pending_.empty()) pending_ = TRY(source_.next());
        return !pending_.empty();
    }
    Result<std::string> bytes(std::uint64_t count) {
        std::string text;
        while (text.size() < count) {
            if (!TRY(more())) return broken();
            const std::string_view part = pending_.substr(0, count - text.size());
            text.append(part);
            pending_.remove_prefix(part.size());
        }
        return text;
    }
    Result<std::uint64_t> varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            if (!TRY(more())) return broken();
            const auto byte = static_cast<std::uint8_t>(pending_.front());
            pending_.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
            if (!(byte & 0x80)) return value;
        }
        return broken();
    }

    Source& source_;
    std::string_view pending_;
};

class ReplacementFinder final : public LineVisitor {
public:
    Result<void> framing(std::string_view) override { return {}; }
    Result<void> payload(std::uint64_t, std::string, std::vector<Extent>) override { return {}; }
    Result<void> replaced(std::uint64_t line, std::string path, std::uint64_t number) override {
        found[std::move(path)].push_back({line, number});
        return {};
    }
    Replacements found;
};

class Replayer final : public LineVisitor {
public:
    Replayer(FdView files, FdView replaced, const Replacements& replacements, Sink& out)
        : cache_(files),
          replaced_cache_(replaced),
          replacements_(replacements),
          out_(out),
          buffer_(128 << 10) {}

    Result<void> framing(std::string_view bytes) override { return out_.write(bytes); }
    Result<void> replaced(std::uint64_t, std::string, std::uint64_t) override { return {}; }
    Result<void> payload(std::uint64_t line, std::string path,
                         std::vector<Extent> extents) override {
        const Fd file = TRY(open(line, path).context(path));
        for (const Extent& extent : extents) TRY(copy_extent(file, extent).context(path));
        return {};
    }

private:
    /// The earliest replacement after `line` of the path or of a directory above it.
    std::optional<std::string> moved_to(std::uint64_t line, const std::string& path) const {
        std::optional<std::string> target;
        std::uint64_t first = std::numeric_limits<std::uint64_t>::max();
        if (replacements_.empty()) return target;
        for (std::size_t end = path.size();;) {
            const auto entry = replacements_.find(std::string_view(path).substr(0, end));
            if (entry != replacements_.end())
                for (const Replacement& candidate : entry->second)
                    if (candidate.line > line && candidate.line < first) {
                        first = candidate.line;
                        target = fmt::format("{}{}", candidate.number, path.substr(end));
                    }
            const auto slash = path.rfind('/', end == 0 ? 0 : end - 1);
            if (slash == std::string::npos) return target;
            end = slash;
        }
    }
    Result<Fd> open(std::uint64_t line, const std::string& path) {
        const auto moved = moved_to(line, path);
        DirectoryCache& cache = moved ? replaced_cache_ : cache_;
        const auto [above, leaf] = split_leaf(moved ? std::string_view(*moved) : path);
        const FdView parent = TRY(cache.open(above, DirectoryCache::Missing::fail));
        return sys::open_at(parent, std::string(leaf), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    }
    Result<void> copy_extent(FdView file, Extent extent) {
        while (extent.length > 0) {
            const auto wanted = std::min<std::uint64_t>(extent.length, buffer_.size());
            const ssize_t n =
                ::pread(file.raw(), buffer_.data(), wanted, static_cast<off_t>(extent.offset));
            if (n < 0) return fail_errno("read");
            if (n == 0) return fail(ErrorKind::corrupt, "the file is shorter than it was");
            TRY(out_.write({buffer_.data(), static_cast<std::size_t>(n)}));
            extent.offset += static_cast<std::uint64_t>(n);
            extent.length -= static_cast<std::uint64_t>(n);
        }
        return {};
    }

    DirectoryCache cache_;
    DirectoryCache replaced_cache_;
    const Replacements& replacements_;
    Sink& out_;
    std::vector<char> buffer_;
};

Result<void> read_record(FdView record, LineVisitor& visitor) {
    if (::lseek(record.raw(), 0, SEEK_SET) < 0) return fail_errno("seek in the layer's record");
    FdSource file(record);
    const auto plain = TRY(Decompressor::create(file));
    return RecordReader(*plain).run(visitor);
}

}  // namespace

Result<void> replay_record(FdView record, FdView files, FdView replaced, Sink& out) {
    ReplacementFinder finder;
    if (replaced.valid()) TRY(read_record(record, finder));
    Replayer replayer(files, replaced, finder.found, out);
    return read_record(record, replayer);
}

}  // namespace corten::storage
