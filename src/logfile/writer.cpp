#include "files.hpp"

#include <sys/file.hpp>

#include <fcntl.h>
#include <logfile/writer.hpp>
#include <unistd.h>

#include <cstring>

namespace corten::logfile {

namespace {

constexpr std::size_t batch_size = 128 << 10;
constexpr mode_t log_mode = 0640;

}  // namespace

Writer::Writer(WriterOptions options) : options_(std::move(options)) {
    rotate_at_ = std::max<std::int64_t>(options_.max_size, 0);
}

Result<Writer> Writer::open(WriterOptions options) {
    Writer writer(std::move(options));
    TRY(writer.open_file());
    return writer;
}

Result<void> Writer::open_file() {
    file_ = TRY(sys::open(options_.path, O_WRONLY | O_APPEND | O_CREAT, log_mode));
    size_ = TRY(size_of(file_));
    return {};
}

Result<void> Writer::reopen() {
    flush();
    return open_file();
}

void Writer::append(Stream stream, std::string_view bytes, WallTime time) {
    const std::string end = line_end(stream, options_.attrs, time);
    std::string& begun = pending(stream);
    while (!bytes.empty()) {
        const auto* feed = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
        const bool whole = feed != nullptr;
        std::string_view piece =
            whole ? bytes.substr(0, static_cast<std::size_t>(feed - bytes.data()) + 1) : bytes;
        bytes.remove_prefix(piece.size());
        if (begun.empty() && whole && piece.size() <= longest_part) {
            put_line(piece, end);
            continue;
        }
        // Topped up to one byte more than a part, so that the cut can see what follows it.
        while (begun.size() + piece.size() > longest_part) {
            const std::size_t room = longest_part + 1 - begun.size();
            begun.append(piece.substr(0, room));
            piece.remove_prefix(std::min(room, piece.size()));
            const std::size_t length = cut_length(begun, longest_part);
            put_line(std::string_view(begun).substr(0, length), end);
            begun.erase(0, length);
        }
        begun.append(piece);
        if (!whole) continue;
        put_line(begun, end);
        begun.clear();
    }
    flush();
}

void Writer::finish(Stream stream, WallTime time) {
    std::string& begun = pending(stream);
    if (!begun.empty()) put_line(begun, line_end(stream, options_.attrs, time));
    begun.clear();
    flush();
}

void Writer::put_line(std::string_view text, std::string_view end) {
    rotate_when_due();
    append_line(batch_, text, end);
    batch_text_ += static_cast<std::int64_t>(text.size());
    if (batch_.size() >= batch_size) flush();
}

void Writer::flush() {
    if (batch_.empty()) return;
    if (lost_now_ > 0) put_marker();
    if (auto written = write_batch(); !written) {
        give_up(written.error());
    } else {
        lost_now_ = 0;
        failure_.clear();
    }
    batch_.clear();
    batch_text_ = 0;
}

/// All of the batch or nothing: a torn line would spoil the one after it.
Result<void> Writer::write_batch() {
    auto written = sys::write_all(file_, batch_);
    if (!written) {
        // If this fails too, the reader skips the torn line.
        [[maybe_unused]] const int cut = ::ftruncate(file_.raw(), size_);
        return written;
    }
    size_ += static_cast<std::int64_t>(batch_.size());
    return {};
}

void Writer::give_up(const Error& error) {
    lost_total_ += batch_text_;
    lost_now_ += batch_text_;
    if (failure_.empty()) report_ = error.message();
    failure_ = error.message();
}

/// In front of the batch, as that is where the gap is.
void Writer::put_marker() {
    std::string marker;
    append_line(
        marker,
        fmt::format("[corten: {} bytes of output were not logged: {}]\n", lost_now_, failure_),
        line_end(Stream::err, options_.attrs, now()));
    batch_.insert(0, marker);
}

void Writer::rotate_when_due() {
    if (rotate_at_ == 0 || size_ + static_cast<std::int64_t>(batch_.size()) < rotate_at_) return;
    flush();
    if (size_ < rotate_at_) return;  // the batch was lost
    rotate_at_ = options_.max_size;
    // A log that cannot be rotated grows on rather than stops, and is tried again later.
    if (auto rotated = rotate(); !rotated) {
        report_ = rotated.error().message();
        rotate_at_ = size_ + options_.max_size;
    }
}

/// A reader that has the old file open reads it to its end also when it is deleted, so a log of one
/// file is replaced by a new one rather than truncated.
Result<void> Writer::rotate() {
    const std::string& path = options_.path;
    if (options_.max_file <= 1) {
        TRY(sys::remove_file(path));
        return open_file();
    }
    for (int number = options_.max_file - 1; number >= 1; --number) {
        const std::string from = rotated_path(path, number - 1);
        if (sys::exists(from)) TRY(sys::rename(from, rotated_path(path, number)));
    }
    return open_file();
}

void Writer::release_memory() {
    batch_ = std::string();
    for (auto& begun : pending_) begun.shrink_to_fit();
}

}  // namespace corten::logfile
